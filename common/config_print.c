#include "common/config_internal.h"

#include <stdio.h>
#include <string.h>

#define STEP ((size_t)2) /* columns a level */

static void print_rows(
	const struct config_row *rows, const void *base, size_t indent, struct buf *out);

static void print_key(const char *key, size_t indent, struct buf *out)
{
	for (size_t i = 0; i < indent; i++)
		buf_addc(out, ' ');
	buf_addf(out, "%s:", key);
}

/* Takes back what was printed since mark. */
static void drop(struct buf *out, size_t mark)
{
	if (out->over || !out->data)
		return;
	out->len = mark;
	out->data[mark] = '\0';
}

/* A section without a value in it is left out. */
static void print_section(
	const struct config_row *row, const void *base, size_t indent, struct buf *out)
{
	size_t mark = out->len, begun;

	print_key(row->key, indent, out);
	buf_addc(out, '\n');
	begun = out->len;
	print_rows(row->rows, base, indent + STEP, out);
	if (out->len == begun)
		drop(out, mark);
}

static void print_sections(
	const struct config_row *row, struct config_list list, size_t indent, struct buf *out)
{
	buf_addc(out, '\n');
	for (size_t i = 0; i < list.n; i++) {
		size_t mark = out->len;

		print_rows(row->rows, (const char *)list.items + i * row->size, indent + 2 * STEP,
			out);
		if (!out->over && out->len > mark)
			out->data[mark + indent + STEP] = '-'; /* in place of a blank */
	}
}

static void print_values(const struct config_row *row, struct config_list list, struct buf *out)
{
	buf_adds(out, " [");
	for (size_t i = 0; i < list.n; i++) {
		if (i)
			buf_adds(out, ", ");
		value_print(row, (const char *)list.items + i * row_size(row), out);
	}
	buf_adds(out, "]\n");
}

static void print_list(
	const struct config_row *row, const void *base, size_t indent, struct buf *out)
{
	struct config_list list = row_list(row, base);

	if (!list.n)
		return;
	print_key(row->key, indent, out);
	if (row->type == TYPE_SECTION)
		print_sections(row, list, indent, out);
	else
		print_values(row, list, out);
}

static void print_value(
	const struct config_row *row, const void *base, size_t indent, struct buf *out)
{
	size_t mark = out->len;

	print_key(row->key, indent, out);
	buf_addc(out, ' ');
	if (value_print(row, row_in(row, base), out))
		buf_addc(out, '\n');
	else
		drop(out, mark);
}

static void print_rows(
	const struct config_row *rows, const void *base, size_t indent, struct buf *out)
{
	for (const struct config_row *row = rows; row->key; row++) {
		if (row->list)
			print_list(row, base, indent, out);
		else if (row->type == TYPE_SECTION)
			print_section(row, base, indent, out);
		else
			print_value(row, base, indent, out);
	}
}

void config_print_effective(const struct config *c, struct buf *out)
{
	print_rows(config_rows, c, 0, out);
}

/* --- the schema, for documentation */

static void tell_key(const struct config_row *row, const char *path, config_key_fn *fn, void *arg)
{
	char expected[512];
	struct config_key key = {.path = path,
		.expected = row->type == TYPE_SECTION
				    ? NULL
				    : value_expected(row, expected, sizeof expected),
		.fallback = row->fallback,
		.list = row->list,
		.required = row->required,
		.secret = row->secret};

	fn(arg, &key);
}

static void tell_rows(
	const struct config_row *rows, const char *above, config_key_fn *fn, void *arg)
{
	for (const struct config_row *row = rows; row->key; row++) {
		char path[128];

		snprintf(path, sizeof path, "%s%s%s", above, above[0] ? "." : "", row->key);
		tell_key(row, path, fn, arg);
		if (row->type != TYPE_SECTION)
			continue;
		if (row->list)
			snprintf(path + strlen(path), sizeof path - strlen(path), "[]");
		tell_rows(row->rows, path, fn, arg);
	}
}

void config_each_key(config_key_fn *fn, void *arg)
{
	tell_rows(config_rows, "", fn, arg);
}
