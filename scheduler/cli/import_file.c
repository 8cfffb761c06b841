/* import_file.c - see import_file.h. */
#include "scheduler/cli/import_file.h"

#include "common/mem.h"
#include "common/str.h"

#include <string.h>
#include <yaml.h>

#define VALUE_MAX 1024 /* bytes of one scalar */

struct reader {
	const char *name;
	yaml_parser_t parser;
	yaml_event_t event;
	bool held; /* event is to be deleted */
	struct import *out;
	size_t cap;
	struct why *why;
};

static void item_release(struct import_item *it)
{
	for (size_t i = 0; i < it->names_n; i++)
		free(it->names[i]);
	free(it->names);
	free(it->id);
	free(it->tenant);
	free(it->type);
	free(it->target);
	free(it->authority);
	free(it->profile);
	free(it->zone);
	free(it->key_type);
	free(it->error);
}

void import_release(struct import *im)
{
	for (size_t i = 0; i < im->n; i++)
		item_release(&im->items[i]);
	free(im->items);
	*im = (struct import){0};
}

struct endpoint_spec import_spec(const struct import_item *it)
{
	return (struct endpoint_spec){.id = it->id,
		.tenant = it->tenant,
		.type = it->type,
		.target = it->target,
		.authority = it->authority,
		.profile = it->profile,
		.zone = it->zone,
		.key_type = it->key_type,
		.names = (const char *const *)it->names,
		.names_n = it->names_n};
}

/** An error about the file as a whole, at the event at hand. */
static int fail(struct reader *r, int err, const char *text)
{
	const yaml_mark_t *m = &r->event.start_mark;

	return why_set(r->why, err, "%s:%zu:%zu: %s", r->name, m->line + 1, m->column + 1, text);
}

static int next(struct reader *r)
{
	if (r->held)
		yaml_event_delete(&r->event);
	r->held = false;
	if (!yaml_parser_parse(&r->parser, &r->event)) {
		const yaml_parser_t *p = &r->parser;
		return why_set(r->why, CF_EINVAL, "%s:%zu:%zu: this is not YAML: %s%s%s", r->name,
			p->problem_mark.line + 1, p->problem_mark.column + 1,
			p->problem ? p->problem : "it cannot be read", p->context ? " " : "",
			p->context ? p->context : "");
	}
	r->held = true;
	if (r->event.type == YAML_ALIAS_EVENT)
		return fail(r, CF_EINVAL, "aliases (*name) are not allowed here");
	return 0;
}

/** Keeps the first thing that is wrong with the item. */
static void item_error(struct reader *r, struct import_item *it, const yaml_mark_t *at,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

static void item_error(
	struct reader *r, struct import_item *it, const yaml_mark_t *at, const char *format, ...)
{
	char raw[700];
	char clean[700];
	va_list ap;

	if (it->error != NULL)
		return;
	va_start(ap, format);
	vsnprintf(raw, sizeof raw, format, ap);
	va_end(ap);
	str_clean(raw, strlen(raw), clean, sizeof clean);
	it->error = mem_printf("%s:%zu:%zu: %s", r->name, at->line + 1, at->column + 1, clean);
}

/** Skips the value whose first event is at hand. */
static int skip(struct reader *r)
{
	size_t depth = 0;

	for (;;) {
		yaml_event_type_t t = r->event.type;
		if (t == YAML_MAPPING_START_EVENT || t == YAML_SEQUENCE_START_EVENT)
			depth++;
		else if (t == YAML_MAPPING_END_EVENT || t == YAML_SEQUENCE_END_EVENT)
			depth--;
		if (depth == 0)
			return 0;
		int err = next(r);
		if (err != 0)
			return err;
	}
}

/** The scalar at hand as text, or an error of the item and NULL. */
static char *scalar(struct reader *r, struct import_item *it, const char *key)
{
	const yaml_event_t *e = &r->event;
	const char *text = (const char *)e->data.scalar.value;
	size_t n = e->data.scalar.length;

	if (n > VALUE_MAX)
		item_error(r, it, &e->start_mark, "%s: over %d bytes", key, VALUE_MAX);
	else if (memchr(text, '\0', n) != NULL)
		item_error(r, it, &e->start_mark, "%s: holds a NUL", key);
	else
		return mem_strndup(text, n);
	return NULL;
}

static int read_names(struct reader *r, struct import_item *it)
{
	if (r->event.type != YAML_SEQUENCE_START_EVENT) {
		item_error(
			r, it, &r->event.start_mark, "names: a list of domain names is expected");
		return skip(r);
	}
	for (;;) {
		int err = next(r);
		if (err != 0 || r->event.type == YAML_SEQUENCE_END_EVENT)
			return err;
		if (r->event.type != YAML_SCALAR_EVENT) {
			item_error(r, it, &r->event.start_mark, "names: a domain name is expected");
			err = skip(r);
			if (err != 0)
				return err;
			continue;
		}
		if (it->names_n == IMPORT_NAMES_MAX) {
			item_error(r, it, &r->event.start_mark, "names: more than %d",
				IMPORT_NAMES_MAX);
			continue;
		}
		char *name = scalar(r, it, "names");
		if (name != NULL) {
			it->names = mem_grow(it->names, it->names_n + 1, sizeof *it->names);
			it->names[it->names_n++] = name;
		}
	}
}

static char **slot_of(struct import_item *it, const char *key)
{
	const struct {
		const char *name;
		char **slot;
	} slots[] = {
		{"id", &it->id},
		{"tenant", &it->tenant},
		{"type", &it->type},
		{"target", &it->target},
		{"authority", &it->authority},
		{"profile", &it->profile},
		{"zone", &it->zone},
		{"key_type", &it->key_type},
	};

	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		if (strcmp(slots[i].name, key) == 0)
			return slots[i].slot;
	return NULL;
}

/** One key and its value; the key's event is at hand. */
static int read_pair(struct reader *r, struct import_item *it)
{
	yaml_mark_t at = r->event.start_mark;
	_mem_free_ char *key = NULL;

	if (r->event.type == YAML_SCALAR_EVENT)
		key = scalar(r, it, "key");
	else
		item_error(r, it, &at, "a key is expected");
	int err = r->event.type == YAML_SCALAR_EVENT ? 0 : skip(r);
	if (err == 0)
		err = next(r);
	if (err != 0)
		return err;
	if (key == NULL)
		return skip(r);
	if (strcmp(key, "names") == 0 && it->names_n == 0)
		return read_names(r, it);
	char **slot = slot_of(it, key);
	if (slot == NULL && strcmp(key, "names") != 0)
		item_error(r, it, &at,
			"unknown key \"%s\"; expected names, type, target, id, tenant, authority, "
			"profile, zone, key_type",
			key);
	else if (slot == NULL || *slot != NULL)
		item_error(r, it, &at, "%s is given twice", key);
	else if (r->event.type != YAML_SCALAR_EVENT)
		item_error(r, it, &r->event.start_mark, "%s: a text is expected", key);
	else
		*slot = scalar(r, it, key);
	return skip(r);
}

static int read_item(struct reader *r)
{
	struct import_item *it;

	if (r->out->n == IMPORT_ITEMS_MAX)
		return fail(r, CF_ETOOBIG, "more than 1,000,000 endpoints in one file");
	if (r->out->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 256;
		r->out->items = mem_grow(r->out->items, r->cap, sizeof *r->out->items);
	}
	it = &r->out->items[r->out->n++];
	*it = (struct import_item){.line = (unsigned)r->event.start_mark.line + 1,
		.column = (unsigned)r->event.start_mark.column + 1};
	if (r->event.type != YAML_MAPPING_START_EVENT) {
		item_error(r, it, &r->event.start_mark,
			"an endpoint is expected: names, type, target …");
		return skip(r);
	}
	for (;;) {
		int err = next(r);
		if (err != 0 || r->event.type == YAML_MAPPING_END_EVENT)
			return err;
		err = read_pair(r, it);
		if (err != 0)
			return err;
	}
}

static int read_list(struct reader *r)
{
	if (r->event.type != YAML_SEQUENCE_START_EVENT)
		return fail(r, CF_EINVAL, "a list of endpoints is expected");
	for (;;) {
		int err = next(r);
		if (err != 0 || r->event.type == YAML_SEQUENCE_END_EVENT)
			return err;
		err = read_item(r);
		if (err != 0)
			return err;
	}
}

/** "endpoints: [ … ]", and no other key. */
static int read_wrapped(struct reader *r)
{
	int err = next(r);

	if (err != 0)
		return err;
	if (r->event.type != YAML_SCALAR_EVENT ||
		strcmp((const char *)r->event.data.scalar.value, "endpoints") != 0)
		return fail(
			r, CF_EINVAL, "the key \"endpoints\" is expected, or a list of endpoints");
	err = next(r);
	if (err == 0)
		err = read_list(r);
	if (err == 0)
		err = next(r);
	if (err == 0 && r->event.type != YAML_MAPPING_END_EVENT)
		return fail(r, CF_EINVAL, "only the key \"endpoints\" is expected");
	return err;
}

static int read_stream(struct reader *r)
{
	int err = next(r); /* stream start */

	if (err == 0)
		err = next(r);
	if (err != 0)
		return err;
	if (r->event.type != YAML_DOCUMENT_START_EVENT)
		return fail(r, CF_EINVAL, "the file is empty; a list of endpoints is expected");
	err = next(r);
	if (err == 0)
		err = r->event.type == YAML_MAPPING_START_EVENT ? read_wrapped(r) : read_list(r);
	if (err == 0)
		err = next(r); /* document end */
	if (err == 0)
		err = next(r);
	if (err == 0 && r->event.type != YAML_STREAM_END_EVENT)
		return fail(r, CF_EINVAL, "one document is expected, this is the second");
	return err;
}

int import_read(const char *name, FILE *file, struct import *out, struct why *why)
{
	struct import read = {0};
	struct reader r = {.name = name, .out = &read, .why = why};

	if (!yaml_parser_initialize(&r.parser))
		abort(); /* memory */
	yaml_parser_set_input_file(&r.parser, file);
	int err = read_stream(&r);
	if (r.held)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	if (err != 0)
		import_release(&read);
	else
		*out = read;
	return err;
}
