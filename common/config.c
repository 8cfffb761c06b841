#include "common/config.h"

#include "common/config_internal.h"
#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE     256
#define EXPECTED_SIZE 256
#define QUOTED_BYTES  60

/* --- errors */

void config_errors_release(struct config_errors *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->lines[i]);
	*e = (struct config_errors){0};
}

void config_errors_text(const struct config_errors *e, struct buf *out)
{
	for (size_t i = 0; i < e->n; i++)
		buf_addf(out, "%s\n", e->lines[i]);
	if (e->more)
		buf_addf(out, "and %zu more\n", e->more);
}

void config_error(
	struct reading *r, size_t line, size_t column, const char *path, const char *format, ...)
{
	struct buf b = BUF_INIT(4096);
	va_list ap;

	if (r->errors->n == CONFIG_ERRORS_MAX) {
		r->errors->more++;
		return;
	}
	if (line)
		buf_addf(&b, "%s:%zu:%zu: ", r->name, line, column);
	else if (r->name)
		buf_addf(&b, "%s: ", r->name);
	if (path && *path)
		buf_addf(&b, "%s: ", path);
	va_start(ap, format);
	buf_vaddf(&b, format, ap);
	va_end(ap);
	r->errors->lines[r->errors->n++] = buf_detach(&b, NULL);
}

/* What was found, for the end of a sentence. */
static const char *found(const struct node *n, char *out, size_t size)
{
	char text[QUOTED_BYTES];

	if (n->kind == NODE_TEXT && n->plain && (!*n->text || !strcmp(n->text, "~")))
		snprintf(out, size, "nothing");
	else if (n->kind == NODE_TEXT)
		snprintf(out, size, "\"%s\"%s",
			str_clean(n->text, strlen(n->text), text, sizeof text),
			strlen(n->text) >= sizeof text ? "…" : "");
	else
		snprintf(out, size, "%s", n->kind == NODE_MAP ? "a section of keys" : "a list");
	return out;
}

static void unexpected(
	struct reading *r, const struct node *n, const char *path, const char *expected)
{
	char got[QUOTED_BYTES + 16];

	config_error(r, n->line, n->column, path, "expected %s, got %s", expected,
		found(n, got, sizeof got));
}

/* --- unknown keys */

static size_t least_of(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* How many letters differ (Levenshtein). Both shorter than 64, else "very many". */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (strlen(a) >= 64 || n >= 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];

			row[j] = least_of(
				row[j] + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[n];
}

static const char *nearest(const struct config_row *rows, const char *key)
{
	size_t best = strlen(key) < 4 ? 2 : 3; /* fewer than this */
	const char *name = NULL;

	for (const struct config_row *row = rows; row->key; row++) {
		size_t d = distance(key, row->key);

		if (d < best) {
			best = d;
			name = row->key;
		}
	}
	return name;
}

static void unknown_key(
	struct reading *r, const struct config_row *rows, const struct node *n, const char *path)
{
	const char *meant = nearest(rows, n->key);
	struct buf known = BUF_INIT(1024);
	char key[QUOTED_BYTES];

	str_clean(n->key, strlen(n->key), key, sizeof key);
	for (const struct config_row *row = rows; row->key; row++)
		buf_addf(&known, "%s%s", row == rows ? "" : ", ", row->key);
	if (meant)
		config_error(r, n->key_line, n->key_column, path,
			"unknown key \"%s\": did you mean \"%s\"?", key, meant);
	else
		config_error(r, n->key_line, n->key_column, path,
			"unknown key \"%s\": expected one of %s", key, buf_cstr(&known));
	buf_release(&known);
}

/* --- reading by rows */

static void read_section(struct reading *r, const struct config_row *rows, const struct node *n,
	const char *path, void *base);

static const char *join(const char *path, const char *key, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s%s%s", path, *path ? "." : "", key);
	return out;
}

static void read_value(struct reading *r, const struct config_row *row, const struct node *n,
	const char *path, void *out)
{
	char expected[EXPECTED_SIZE], got[QUOTED_BYTES + 16];
	struct why why;

	value_expected(row, expected, sizeof expected);
	if (n->kind != NODE_TEXT) {
		unexpected(r, n, path, expected);
	} else if (value_parse(row, n->text, n->plain, out, &why)) {
		if (*why.text)
			config_error(r, n->line, n->column, path, "expected %s, got %s (%s)",
				expected, found(n, got, sizeof got), why.text);
		else
			unexpected(r, n, path, expected);
	}
}

struct config_list row_list(const struct config_row *row, const void *base)
{
	struct config_list list;

	memcpy(&list, row_in(row, base), sizeof list);
	return list;
}

static void read_item(struct reading *r, const struct config_row *row, const struct node *n,
	const char *path, void *item)
{
	if (row->type == TYPE_SECTION)
		read_section(r, row->rows, n, path, item);
	else
		read_value(r, row, n, path, item);
}

static void read_list(struct reading *r, const struct config_row *row, const struct node *n,
	const char *path, void *base)
{
	char expected[EXPECTED_SIZE], phrase[EXPECTED_SIZE + 32], item_path[PATH_SIZE];
	struct config_list list = {0};
	size_t n_items = 0;

	value_expected(row, expected, sizeof expected);
	snprintf(phrase, sizeof phrase, "a list, each of it %s", expected);
	if (n->kind != NODE_LIST) {
		unexpected(r, n, path, phrase);
		return;
	}
	for (const struct node *c = n->child; c; c = c->next)
		n_items++;
	if (n_items > row->list || (!n_items && row->required)) {
		config_error(r, n->line, n->column, path, "expected %d to %u items, got %zu",
			row->required ? 1 : 0, row->list, n_items);
		return;
	}
	list.items = mem_array(n_items + 1, row_size(row));
	list.n = n_items;
	memset(list.items, 0, (n_items + 1) * row_size(row));
	memcpy(row_at(row, base), &list, sizeof list);
	n_items = 0;
	for (const struct node *c = n->child; c; c = c->next, n_items++) {
		snprintf(item_path, sizeof item_path, "%s[%zu]", path, n_items);
		read_item(r, row, c, item_path, (char *)list.items + n_items * row_size(row));
	}
}

static void read_flags(struct reading *r, const struct config_row *row, const struct node *n,
	const char *path, void *base)
{
	char expected[EXPECTED_SIZE], phrase[EXPECTED_SIZE + 32], item_path[PATH_SIZE];
	size_t i = 0;

	value_expected(row, expected, sizeof expected);
	snprintf(phrase, sizeof phrase, "a list, %s", expected);
	if (n->kind != NODE_LIST) {
		unexpected(r, n, path, phrase);
		return;
	}
	for (const struct node *c = n->child; c; c = c->next, i++) {
		snprintf(item_path, sizeof item_path, "%s[%zu]", path, i);
		read_value(r, row, c, item_path, row_at(row, base));
	}
}

static void read_row(struct reading *r, const struct config_row *row, const struct node *n,
	const char *path, void *base)
{
	if (row->type == TYPE_FLAGS)
		read_flags(r, row, n, path, base);
	else if (row->list)
		read_list(r, row, n, path, base);
	else if (row->type == TYPE_SECTION)
		read_section(r, row->rows, n, path, base);
	else
		read_value(r, row, n, path, row_at(row, base));
}

/* --- defaults */

static void set_default(const struct config_row *row, void *base)
{
	struct node text = {.kind = NODE_TEXT, .text = NULL};
	struct node list = {.kind = NODE_LIST, .child = &text};
	struct config_errors errors = {0};
	struct reading r = {"default", &errors};
	_mem_free_ char *words = mem_strdup(row->fallback);
	char *rest = words, *word;

	if (row->type == TYPE_FLAGS) {
		while ((word = strsep(&rest, " "))) {
			text.text = word;
			read_flags(&r, row, &list, row->key, base);
		}
	} else {
		text.text = words;
		read_row(&r, row, row->list ? &list : &text, row->key, base);
	}
	if (errors.n)
		abort(); /* a mistake in the schema */
}

/* What was not given: defaults, and complaints about what must be. n is the section, for the
 * position. */
static void read_absent(struct reading *r, const struct config_row *row, const struct node *n,
	const char *path, void *base)
{
	char expected[EXPECTED_SIZE];

	if (row->type == TYPE_SECTION && !row->list)
		read_section(r, row->rows, n, path, base);
	else if (row->required)
		config_error(r, n->line, n->column, path, "missing: expected %s",
			value_expected(row, expected, sizeof expected));
	else if (row->fallback)
		set_default(row, base);
}

static const struct node *find(const struct node *map, const char *key)
{
	for (const struct node *c = map->child; c; c = c->next)
		if (!strcmp(c->key, key))
			return c;
	return NULL;
}

static bool key_of(const struct config_row *rows, const char *key)
{
	for (const struct config_row *row = rows; row->key; row++)
		if (!strcmp(row->key, key))
			return true;
	return false;
}

/* An empty map for absent sections, with the position of what is around it. */
static const struct node *as_map(
	struct reading *r, const struct node *n, const char *path, bool absent, struct node *empty)
{
	if (n->kind == NODE_MAP && !absent)
		return n;
	*empty = (struct node){.kind = NODE_MAP, .line = n->line, .column = n->column};
	if (!absent)
		unexpected(r, n, path, "a section of keys");
	return empty;
}

static void read_rows(struct reading *r, const struct config_row *rows, const struct node *map,
	const char *path, void *base)
{
	char row_path[PATH_SIZE];

	for (const struct node *c = map->child; c; c = c->next)
		if (!key_of(rows, c->key))
			unknown_key(r, rows, c, path);
	for (const struct config_row *row = rows; row->key; row++) {
		const struct node *c = find(map, row->key);
		struct node empty;

		join(path, row->key, row_path);
		if (c)
			read_row(r, row, c, row_path, base);
		else
			read_absent(r, row, as_map(r, map, path, true, &empty), row_path, base);
	}
}

static void read_section(struct reading *r, const struct config_row *rows, const struct node *n,
	const char *path, void *base)
{
	struct node empty;

	if (n->kind == NODE_MAP)
		read_rows(r, rows, n, path, base);
	else
		as_map(r, n, path, false, &empty);
}

/* --- loading and freeing */

static void release_rows(const struct config_row *rows, void *base);

static void release_row(const struct config_row *row, void *base)
{
	struct config_list list;

	if (row->list) {
		list = row_list(row, base);
		for (size_t i = 0; i < list.n; i++) {
			void *item = (char *)list.items + i * row_size(row);

			if (row->type == TYPE_SECTION)
				release_rows(row->rows, item);
			else
				value_release(row, item);
		}
		free(list.items);
	} else if (row->type == TYPE_SECTION) {
		release_rows(row->rows, base);
	} else {
		value_release(row, row_at(row, base));
	}
}

static void release_rows(const struct config_row *rows, void *base)
{
	for (const struct config_row *row = rows; row->key; row++)
		release_row(row, base);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	release_rows(config_rows, c);
	free(c->redis.host);
	free(c->redis.unix_path);
	if (c->redis.password)
		mem_wipe_free(c->redis.password, strlen(c->redis.password));
	if (c->redis.sentinel.password)
		mem_wipe_free(c->redis.sentinel.password, strlen(c->redis.sentinel.password));
	free(c);
}

int config_parse(const char *name, const char *text, size_t len, struct config **out,
	struct config_errors *errors)
{
	struct reading r = {name, errors};
	struct config *c;
	struct node *root;

	*errors = (struct config_errors){0};
	root = node_parse(&r, text, len);
	if (!root)
		return CF_EINVAL;
	c = mem_zalloc(sizeof *c);
	read_section(&r, config_rows, root, "", c);
	if (!errors->n)
		config_rules(&r, root, c);
	node_free(root);
	if (errors->n) {
		config_free(c);
		return CF_EINVAL;
	}
	*out = c;
	return 0;
}

static int read_all(struct reading *r, int fd, struct buf *text)
{
	ssize_t n;

	do {
		char *room = buf_room(text, 65536);

		if (!room) {
			config_error(r, 0, 0, NULL, "larger than 1 MiB: this is no configuration");
			return CF_ETOOBIG;
		}
		n = read(fd, room, 65536);
		if (n > 0)
			buf_took(text, (size_t)n);
	} while (n > 0);
	if (n < 0) {
		config_error(r, 0, 0, NULL, "cannot be read: %s", strerror(errno));
		return CF_EIO;
	}
	return 0;
}

int config_load(const char *path, struct config **out, struct config_errors *errors)
{
	struct buf text = BUF_INIT(CONFIG_BYTES_MAX + 65536);
	struct reading r = {path, errors};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	*errors = (struct config_errors){0};
	if (fd < 0) {
		config_error(&r, 0, 0, NULL, "cannot be opened: %s", strerror(errno));
		return CF_EIO;
	}
	err = read_all(&r, fd, &text);
	close(fd);
	if (!err)
		err = config_parse(path, buf_cstr(&text), text.len, out, errors);
	buf_release(&text);
	return err;
}
