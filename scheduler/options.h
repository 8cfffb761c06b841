/* options.h - the scheduler's few command-line options. */
#pragma once

#include "common/config.h"

/** Reads -c FILE (default /etc/certfleet/certfleet.yaml) and loads it. *config is NULL when there
 * is nothing to run: help or version was shown (0), the file is wrong (1) or the usage is (2), and
 * said so. */
int options_read(int argc, char **argv, struct config **config);
