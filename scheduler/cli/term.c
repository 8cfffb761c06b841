/* term.c - see term.h. */
#include "scheduler/cli/term.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define TEXT_MAX 4096

static const char *const TINTS[] = {
	[TINT_NONE] = "",
	[TINT_GOOD] = "\033[32m",
	[TINT_BAD] = "\033[31m",
	[TINT_WARN] = "\033[33m",
	[TINT_BUSY] = "\033[36m",
	[TINT_DIM] = "\033[2m",
	[TINT_BOLD] = "\033[1m",
};

/** Reads one character; returns its bytes. Broken UTF-8 counts as one byte, one column. */
static size_t next_char(const char *s, size_t *columns)
{
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t rune = n == 1 ? c : n == 2 ? c & 0x1f : n == 3 ? c & 0x0f : c & 0x07;

	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80) {
			*columns = 1;
			return 1;
		}
		rune = rune << 6 | ((unsigned char)s[i] & 0x3f);
	}
	int w = rune < 0x80 ? 1 : wcwidth((wchar_t)rune);
	*columns = w < 0 ? 1 : (size_t)w;
	return n;
}

size_t term_width(const char *s)
{
	size_t width = 0;
	size_t columns;

	for (; *s != '\0'; width += columns)
		s += next_char(s, &columns);
	return width;
}

void term_cut(struct buf *out, const char *s, size_t columns)
{
	if (term_width(s) <= columns) {
		buf_adds(out, s);
		return;
	}
	if (columns == 0)
		return;
	size_t used = 0;
	for (size_t w = 0; *s != '\0';) {
		size_t n = next_char(s, &w);
		if (used + w > columns - 1)
			break;
		buf_add(out, s, n);
		used += w;
		s += n;
	}
	buf_adds(out, "…");
}

static void put(struct buf *out, const struct view *view, enum tint tint, const char *text)
{
	bool color = view->color && tint != TINT_NONE && *text != '\0';

	if (color)
		buf_adds(out, TINTS[tint]);
	buf_adds(out, text);
	if (color)
		buf_adds(out, "\033[0m");
}

void term_tint(struct buf *out, const struct view *view, enum tint tint, const char *format, ...)
{
	char raw[TEXT_MAX];
	char clean[TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(raw, sizeof raw, format, ap);
	va_end(ap);
	put(out, view, tint, str_clean(raw, strlen(raw), clean, sizeof clean));
}

/** One paragraph line; returns where the rest begins. */
static const char *wrap_line(struct buf *out, const char *s, const char *end, size_t columns)
{
	const char *last = NULL; /* the last blank where it may be broken */
	const char *p = s;
	size_t used = 0;

	while (p < end) {
		size_t w;
		size_t n = next_char(p, &w);
		if (*p == ' ')
			last = p;
		if (used + w > columns && last != NULL && last > s) {
			buf_add(out, s, (size_t)(last - s));
			return last + 1;
		}
		used += w;
		p += n;
	}
	buf_add(out, s, (size_t)(end - s));
	return end;
}

void term_wrap(struct buf *out, const char *text, size_t indent, size_t columns)
{
	size_t room = columns > indent + 20 ? columns - indent : columns == 0 ? SIZE_MAX : 20;

	while (*text != '\0') {
		const char *end = strchrnul(text, '\n');
		bool whole = *text == ' ';
		if (text == end)
			buf_addc(out, '\n');
		while (text < end) {
			for (size_t i = 0; i < indent; i++)
				buf_addc(out, ' ');
			text = wrap_line(out, text, end, whole ? SIZE_MAX : room);
			buf_addc(out, '\n');
		}
		text = *end == '\n' ? end + 1 : end;
	}
}

void term_time(struct buf *out, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	if (ms == 0 || gmtime_r(&s, &tm) == NULL) {
		buf_adds(out, "never");
		return;
	}
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
	buf_adds(out, text);
}

void term_when(struct buf *out, const struct view *view, int64_t ms)
{
	int64_t d = ms - view->now_ms;
	char human[CLOCK_HUMAN_LEN];

	if (ms == 0)
		buf_adds(out, "never");
	else if (d > -1000 && d < 1000)
		buf_adds(out, "now");
	else if (d > 0)
		buf_addf(out, "in %s", clock_human(d / 1000 * 1000, human));
	else
		buf_addf(out, "%s ago", clock_human(-d / 1000 * 1000, human));
}

void term_count(struct buf *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf_addc(out, ',');
		buf_addc(out, digits[i]);
	}
}

static void table_forget(struct table *t)
{
	for (size_t i = 0; i < t->cells_n; i++)
		free(t->cells[i].text);
	t->cells_n = 0;
}

void table_release(struct table *t)
{
	table_forget(t);
	free(t->cells);
	t->cells = NULL;
	t->cap = 0;
}

void table_cell(struct table *t, enum tint tint, const char *format, ...)
{
	char raw[TEXT_MAX];
	char clean[TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(raw, sizeof raw, format, ap);
	va_end(ap);
	str_clean(raw, strlen(raw), clean, sizeof clean);
	if (t->cells_n == t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		t->cells = mem_grow(t->cells, t->cap, sizeof *t->cells);
	}
	size_t column = t->cells_n % t->columns_n;
	size_t width = term_width(clean);
	if (width > t->widths[column])
		t->widths[column] = width;
	t->cells[t->cells_n++] = (struct table_cell){.text = mem_strdup(clean), .tint = tint};
}

size_t table_rows(const struct table *t)
{
	return t->cells_n / t->columns_n;
}

bool table_fits(const struct table *t, const struct view *view)
{
	size_t total = t->indent + 2 * (t->columns_n - 1);

	for (size_t i = 0; i < t->columns_n; i++) {
		size_t title = term_width(t->columns[i].title);
		total += t->widths[i] > title ? t->widths[i] : title;
	}
	return view->width == 0 || total <= view->width;
}

/** Takes columns from the widest flexible one until the line fits, but leaves each twelve. */
static void table_fit(const struct table *t, size_t screen, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t total = t->indent + 2 * (t->columns_n - 1);

	for (size_t i = 0; i < t->columns_n; i++) {
		size_t title = term_width(t->columns[i].title);
		widths[i] = t->widths[i] > title ? t->widths[i] : title;
		total += widths[i];
	}
	while (screen != 0 && total > screen) {
		size_t widest = TABLE_COLUMNS_MAX;
		for (size_t i = 0; i < t->columns_n; i++)
			if (t->columns[i].flexible && widths[i] > 12 &&
				(widest == TABLE_COLUMNS_MAX || widths[i] > widths[widest]))
				widest = i;
		if (widest == TABLE_COLUMNS_MAX)
			return;
		widths[widest]--;
		total--;
	}
}

static void pad(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_addc(out, ' ');
}

static void table_line(const struct table *t, const struct view *view, const size_t *widths,
	const struct table_cell *cells, struct buf *out)
{
	pad(out, t->indent);
	size_t owed = 0; /* blanks come only if something follows: no line ends with one */
	for (size_t i = 0; i < t->columns_n; i++) {
		_buf_release_ struct buf cut = BUF_INIT(2 * sizeof(char) * TEXT_MAX);
		term_cut(&cut, cells[i].text, widths[i]);
		size_t blank = widths[i] - term_width(buf_cstr(&cut));
		bool right = t->columns[i].right;
		if (cut.len != 0) {
			pad(out, owed + (right ? blank : 0));
			put(out, view, cells[i].tint, buf_cstr(&cut));
			owed = 0;
		}
		owed += (right && cut.len != 0 ? 0 : blank) + 2;
	}
	buf_addc(out, '\n');
}

void table_flush(struct table *t, const struct view *view, struct buf *out)
{
	size_t widths[TABLE_COLUMNS_MAX];

	table_fit(t, view->width, widths);
	if (!t->headed && t->cells_n > 0) {
		struct table_cell head[TABLE_COLUMNS_MAX];
		for (size_t i = 0; i < t->columns_n; i++)
			head[i] = (struct table_cell){
				.text = (char *)(uintptr_t)t->columns[i].title, .tint = TINT_DIM};
		table_line(t, view, widths, head, out);
		t->headed = true;
	}
	for (size_t i = 0; i + t->columns_n <= t->cells_n; i += t->columns_n)
		table_line(t, view, widths, t->cells + i, out);
	table_forget(t);
}
