#include "common/config_internal.h"
#include "common/mem.h"
#include "common/str.h"

#include <string.h>
#include <yaml.h>

struct parse {
	struct reading *r;
	yaml_parser_t yaml;
	size_t nodes;
	bool failed;
};

void node_free(struct node *n)
{
	while (n) {
		struct node *next = n->next;

		node_free(n->child); /* no deeper than CONFIG_DEPTH_MAX */
		free(n->text);
		free(n->key);
		free(n);
		n = next;
	}
}

static void refuse_at(struct parse *p, const yaml_mark_t *mark, const char *what)
{
	config_error(p->r, mark->line + 1, mark->column + 1, NULL, "%s", what);
	p->failed = true;
}

static bool next_event(struct parse *p, yaml_event_t *event)
{
	const yaml_mark_t *mark = &p->yaml.problem_mark;
	char problem[160];

	if (p->failed)
		return false;
	if (yaml_parser_parse(&p->yaml, event))
		return true;
	if (p->yaml.problem)
		str_clean(p->yaml.problem, strlen(p->yaml.problem), problem, sizeof problem);
	else
		memcpy(problem, "unreadable", sizeof "unreadable");
	config_error(p->r, mark->line + 1, mark->column + 1, NULL, "not YAML: %s", problem);
	p->failed = true;
	return false;
}

static struct node *node_new(struct parse *p, const yaml_event_t *event, enum node_kind kind)
{
	struct node *n = mem_zalloc(sizeof *n);

	n->kind = kind;
	n->line = event->start_mark.line + 1;
	n->column = event->start_mark.column + 1;
	if (++p->nodes > CONFIG_NODES_MAX)
		refuse_at(p, &event->start_mark, "too many values for a configuration");
	return n;
}

static struct node *node_value(struct parse *p, const yaml_event_t *event, size_t depth);

/* A map's key: a plain text, no other value. */
static char *take_key(struct parse *p, const yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT &&
		strlen((const char *)event->data.scalar.value) == event->data.scalar.length)
		return mem_strdup((const char *)event->data.scalar.value);
	refuse_at(p, &event->start_mark, "expected a key");
	return NULL;
}

static bool key_known(const struct node *map, const struct node *before)
{
	for (const struct node *n = map->child; n && n != before; n = n->next)
		if (!strcmp(n->key, before->key))
			return true;
	return false;
}

static void check_doubled(struct parse *p, const struct node *map, const struct node *n)
{
	char key[64];

	if (!key_known(map, n))
		return;
	str_clean(n->key, strlen(n->key), key, sizeof key);
	config_error(
		p->r, n->key_line, n->key_column, NULL, "the key \"%s\" stands here twice", key);
}

/* One item of a map or list; false at its end. */
static bool read_item(struct parse *p, struct node *parent, struct node ***tail, size_t depth)
{
	const yaml_event_type_t end =
		parent->kind == NODE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	yaml_event_t event;
	yaml_mark_t key_mark;
	char *key = NULL;
	struct node *n;

	if (!next_event(p, &event))
		return false;
	if (event.type == end) {
		yaml_event_delete(&event);
		return false;
	}
	key_mark = event.start_mark;
	if (parent->kind == NODE_MAP) {
		key = take_key(p, &event);
		yaml_event_delete(&event);
		if (!key || !next_event(p, &event)) {
			free(key);
			return false;
		}
	}
	n = node_value(p, &event, depth + 1);
	yaml_event_delete(&event);
	n->key = key;
	n->key_line = key_mark.line + 1;
	n->key_column = key_mark.column + 1;
	**tail = n;
	*tail = &n->next;
	if (key)
		check_doubled(p, parent, n);
	return true;
}

static struct node *read_items(struct parse *p, struct node *parent, size_t depth)
{
	struct node **tail = &parent->child;

	while (!p->failed && read_item(p, parent, &tail, depth))
		;
	return parent;
}

static struct node *read_text(struct parse *p, const yaml_event_t *event)
{
	struct node *n = node_new(p, event, NODE_TEXT);

	n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = mem_strndup((const char *)event->data.scalar.value, event->data.scalar.length);
	if (strlen(n->text) != event->data.scalar.length)
		refuse_at(p, &event->start_mark, "a NUL byte in a text");
	return n;
}

static bool decorated(const yaml_event_t *e)
{
	switch ((int)e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	default:
		return e->type == YAML_ALIAS_EVENT;
	}
}

/* Never NULL: what is refused gives an empty text, and the parse has failed. */
static struct node *node_value(struct parse *p, const yaml_event_t *event, size_t depth)
{
	if (decorated(event))
		refuse_at(p, &event->start_mark, "anchors, aliases and tags are not taken here");
	else if (depth > CONFIG_DEPTH_MAX)
		refuse_at(p, &event->start_mark, "nested too deeply");
	else if (event->type == YAML_SCALAR_EVENT)
		return read_text(p, event);
	else if (event->type == YAML_MAPPING_START_EVENT)
		return read_items(p, node_new(p, event, NODE_MAP), depth);
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		return read_items(p, node_new(p, event, NODE_LIST), depth);
	else
		refuse_at(p, &event->start_mark, "expected a value");
	return node_new(p, event, NODE_TEXT);
}

/* The event's type, or -1; the event itself is dropped. */
static int skip_event(struct parse *p)
{
	yaml_event_t event;
	int type;

	if (!next_event(p, &event))
		return -1;
	type = (int)event.type;
	if (type == YAML_DOCUMENT_START_EVENT && p->nodes)
		refuse_at(p, &event.start_mark, "a second document: one is expected");
	yaml_event_delete(&event);
	return type;
}

static struct node *read_document(struct parse *p)
{
	struct node *root = NULL;
	yaml_event_t event;
	int type = skip_event(p); /* the stream begins */

	if (type < 0)
		return NULL;
	if (skip_event(p) != YAML_DOCUMENT_START_EVENT) {
		if (!p->failed)
			config_error(p->r, 1, 1, NULL, "empty: expected at least fleet and redis");
		p->failed = true;
		return NULL;
	}
	if (!next_event(p, &event))
		return NULL;
	root = node_value(p, &event, 0);
	yaml_event_delete(&event);
	while (!p->failed && (type = skip_event(p)) >= 0 && type != YAML_STREAM_END_EVENT)
		;
	return root;
}

struct node *node_parse(struct reading *r, const char *text, size_t len)
{
	struct parse p = {.r = r};
	struct node *root;

	if (len > CONFIG_BYTES_MAX) {
		config_error(r, 0, 0, NULL, "larger than 1 MiB: this is no configuration");
		return NULL;
	}
	if (!yaml_parser_initialize(&p.yaml))
		abort(); /* memory */
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, len);
	root = read_document(&p);
	yaml_parser_delete(&p.yaml);
	if (p.failed) {
		node_free(root);
		return NULL;
	}
	return root;
}
