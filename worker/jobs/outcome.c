#include "worker/jobs/outcome.h"

#include "common/mem.h"
#include "common/mp.h"

#include <string.h>

/* Every copied piece hangs in one list, freed at the end. */
struct piece {
	struct piece *next;
	size_t len;
	char bytes[];
};

struct outcome {
	struct piece *pieces;
	struct queue_finish f;
	struct queue_set sets[OUTCOME_SETS_MAX];
	struct queue_event events[OUTCOME_EVENTS_MAX];
	const void *timeline[OUTCOME_TIMELINE_MAX];
	size_t timeline_lens[OUTCOME_TIMELINE_MAX];
	struct queue_plan next, other;
	struct queue_authz *authzs;
	const char **dropped;
};

struct outcome *outcome_new(void)
{
	struct outcome *o = mem_zalloc(sizeof *o);

	o->f.sets = o->sets;
	o->f.events = o->events;
	o->f.timeline = o->timeline;
	o->f.timeline_lens = o->timeline_lens;
	return o;
}

void outcome_free(struct outcome *o)
{
	struct piece *next;

	if (!o)
		return;
	for (struct piece *p = o->pieces; p; p = next) {
		next = p->next;
		mem_wipe_free(p, sizeof *p + p->len);
	}
	free(o->authzs);
	free(o->dropped);
	free(o);
}

static const void *keep(struct outcome *o, const void *bytes, size_t n)
{
	struct piece *p = mem_alloc(sizeof *p + n + 1);

	p->len = n;
	p->next = o->pieces;
	o->pieces = p;
	if (n)
		memcpy(p->bytes, bytes, n);
	p->bytes[n] = '\0';
	return p->bytes;
}

static const char *keep_text(struct outcome *o, const char *s)
{
	return s ? keep(o, s, strlen(s)) : NULL;
}

void outcome_set(struct outcome *o, const char *field, const void *bytes, size_t n)
{
	if (o->f.sets_n == OUTCOME_SETS_MAX)
		abort();
	o->sets[o->f.sets_n++] = (struct queue_set){
		.field = keep_text(o, field), .bytes = bytes ? keep(o, bytes, n) : NULL, .len = n};
}

void outcome_set_buf(struct outcome *o, const char *field, const struct buf *b)
{
	outcome_set(o, field, b->data ? b->data : "", b->len);
}

/* Past the limit events are left out: the endpoint's own record is the truth. */
static void add_event(
	struct outcome *o, const char *type, const char *id, const struct buf *data, bool edge)
{
	if (o->f.events_n == OUTCOME_EVENTS_MAX)
		return;
	o->events[o->f.events_n++] = (struct queue_event){
		.type = keep_text(o, type),
		.id = keep_text(o, id),
		.data = keep(o, data->data, data->len),
		.len = data->len,
		.edge = edge,
	};
}

void outcome_event(struct outcome *o, const char *type, const char *id, const struct buf *data)
{
	add_event(o, type, id, data, false);
}

void outcome_edge(struct outcome *o, const char *condition, const char *id, const struct buf *data)
{
	add_event(o, condition, id, data, true);
}

void outcome_timeline(struct outcome *o, int64_t now_ms, const char *what, const char *text)
{
	_buf_release_ struct buf b = BUF_INIT(2048);
	size_t map;

	if (o->f.timeline_n == OUTCOME_TIMELINE_MAX)
		return;
	map = mp_map_open(&b);
	mp_key_int(&b, "t", now_ms);
	mp_key_str(&b, "what", what);
	if (text && text[0])
		mp_key_str(&b, "text", text);
	mp_map_close(&b, map);
	if (buf_err(&b))
		return;
	o->timeline[o->f.timeline_n] = keep(o, b.data, b.len);
	o->timeline_lens[o->f.timeline_n++] = b.len;
}

static void plan_from(struct outcome *o, struct queue_plan *plan, const struct need *need)
{
	*plan = (struct queue_plan){.intent = need->intent,
		.lane = need->lane,
		.due_ms = need->due_ms,
		.why = keep_text(o, need->why)};
}

void outcome_next(struct outcome *o, const struct need *need)
{
	o->f.next = NULL;
	if (!need->any)
		return;
	plan_from(o, &o->next, need);
	o->f.next = &o->next;
}

void outcome_ask_other(struct outcome *o, const struct need *need)
{
	if (!need->any)
		return;
	plan_from(o, &o->other, need);
	o->f.other = &o->other;
}

void outcome_state(struct outcome *o, const char *state, const char *reason)
{
	o->f.state = keep_text(o, state);
	o->f.reason = keep_text(o, reason);
}

void outcome_chain(struct outcome *o, const char *sha, const void *bytes, size_t n)
{
	o->f.chain_sha = keep_text(o, sha);
	o->f.chain = keep(o, bytes, n);
	o->f.chain_len = n;
}

void outcome_authz(struct outcome *o, const char *name, const char *authority, const char *url,
	int64_t expires_ms)
{
	o->authzs = mem_grow(o->authzs, o->f.authzs_n + 1, sizeof *o->authzs);
	o->authzs[o->f.authzs_n++] = (struct queue_authz){.name = keep_text(o, name),
		.authority = keep_text(o, authority),
		.url = keep_text(o, url),
		.expires_ms = expires_ms};
	o->f.authzs = o->authzs;
}

void outcome_dropped(struct outcome *o, const char *name)
{
	o->dropped = mem_grow(o->dropped, o->f.dropped_n + 1, sizeof *o->dropped);
	o->dropped[o->f.dropped_n++] = keep_text(o, name);
	o->f.dropped = o->dropped;
}

void outcome_expiry(struct outcome *o, int64_t expiry_ms)
{
	o->f.expiry_ms = expiry_ms;
}

void outcome_remove(struct outcome *o)
{
	o->f.remove = true;
}

const struct queue_finish *outcome_as_finish(
	struct outcome *o, const char *id, const char *token, uint64_t generation, uint64_t want)
{
	o->f.id = id;
	o->f.token = token;
	o->f.generation = generation;
	o->f.want = want;
	return &o->f;
}
