/* lua_scripts.h - the Redis scripts of common/lua/, as the build embedded them.
 *
 * One row a file `common/lua/NAME.lua`, in the order of names. A line `--#include "FILE"` in a
 * script was replaced by the text of common/lua/FILE; files whose name begins with `_` are there
 * for that only and have no row. Everything is constant and lives as long as the program.
 */
#pragma once

#include <stddef.h>

struct lua_script {
	const char *name; /* the file's name without ".lua" */
	const char *text; /* NUL-terminated */
	size_t len;       /* in bytes, without the NUL */
};

extern const struct lua_script lua_scripts[]; /* lua_scripts_n rows */
extern const size_t lua_scripts_n;
