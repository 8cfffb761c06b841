/* term.h - words on a screen: widths of Unicode text, cutting, colours, times for people, and
 * tables.
 *
 * Everything here appends to a struct buf and looks at nothing but its arguments: a struct view
 * says how wide the screen is, whether it has colours and what time it is, so that tests compare
 * exact text.
 */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What text means, not which colour it has. */
enum tint { TINT_NONE, TINT_GOOD, TINT_BAD, TINT_WARN, TINT_BUSY, TINT_DIM, TINT_BOLD };

struct view {
	bool color;
	size_t width; /* columns; 0: no terminal, nothing is cut */
	int64_t now_ms;
};

/** Columns that UTF-8 text takes: wide characters count two, combining ones none. */
size_t term_width(const char *s);
/** Appends at most `columns` of s; what was cut is replaced by "…". */
void term_cut(struct buf *out, const char *s, size_t columns);
/** Appends text in its colour, if there are colours. The text is made safe for a terminal first. */
void term_tint(struct buf *out, const struct view *view, enum tint tint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/** Breaks text into lines of at most `columns`, each begun with `indent` blanks; a line of the text
 * that begins with blanks keeps them and is not joined. */
void term_wrap(struct buf *out, const char *text, size_t indent, size_t columns);

/** "2026-11-23 18:47:00 UTC"; "never" for 0. */
void term_time(struct buf *out, int64_t ms);
/** "in 3d 4h", "12s ago", "now". */
void term_when(struct buf *out, const struct view *view, int64_t ms);
/** "1,234,567". */
void term_count(struct buf *out, uint64_t n);

#define TABLE_COLUMNS_MAX 10

struct table_column {
	const char *title;
	bool right;    /* numbers */
	bool flexible; /* gives up width when the screen is too narrow */
};

/** Rows in columns that are as wide as they must be. Widths only grow, so that a long list may be
 * printed in parts. */
struct table {
	const struct table_column *columns; /* borrowed */
	size_t columns_n;
	size_t indent;
	struct table_cell {
		char *text;
		enum tint tint;
	} * cells; /* owned */
	size_t cells_n;
	size_t cap;
	size_t widths[TABLE_COLUMNS_MAX];
	bool headed;
};

#define TABLE_INIT(columns_, n, indent_) \
	((struct table){.columns = (columns_), .columns_n = (n), .indent = (indent_)})

void table_release(struct table *t);
/** The next cell of the row at hand; columns_n of them make a row. */
void table_cell(struct table *t, enum tint tint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);
/** Nothing would be cut. */
bool table_fits(const struct table *t, const struct view *view);
/** Appends the head (once) and the rows, then forgets the rows. */
void table_flush(struct table *t, const struct view *view, struct buf *out);
