/* complete.h - what could be typed next on a command line. */
#pragma once

#include "scheduler/cli/cli.h"

enum complete_words {
	COMPLETE_OFFERED,
	COMPLETE_IDS, /* ids of endpoints fit too: the caller may look them up */
};

/** Candidates for the last of the words (those after the program's name), a line each with a tab
 * and what it is; ":files" or ":dirs" where those of the file system fit. Pure. */
enum complete_words complete(size_t n, const char *const *words, struct buf *out);
