#include "common/mp.h"
#include "common/queue_internal.h"

#include <string.h>

/* Bytes are written as msgpack str: Redis' cmsgpack does not read bin. */

static void pack_plan(struct buf *out, const char *key, const struct queue_plan *p)
{
	size_t a;

	if (!p)
		return;
	mp_key(out, key);
	a = mp_array_open(out);
	mp_int(out, p->intent);
	mp_int(out, p->lane);
	mp_int(out, queue_due(p->due_ms));
	mp_str(out, p->why ? p->why : "");
	mp_array_close(out, a);
}

static void pack_events(struct buf *out, const struct queue_event *events, size_t n)
{
	size_t list;

	if (!n)
		return;
	mp_key(out, "e");
	list = mp_array_open(out);
	for (size_t i = 0; i < n; i++) {
		size_t a = mp_array_open(out);

		mp_str(out, events[i].type);
		mp_str(out, events[i].id);
		mp_strn(out, events[i].data, events[i].len);
		mp_bool(out, events[i].edge);
		mp_array_close(out, a);
	}
	mp_array_close(out, list);
}

static void pack_names(struct buf *out, const char *key, const char *const *names, size_t n)
{
	if (n)
		mp_key_strs(out, key, names, n);
}

static void pack_sets(struct buf *out, const struct queue_finish *f)
{
	size_t a;

	if (!f->sets_n)
		return;
	mp_key(out, "s");
	a = mp_array_open(out);
	for (size_t i = 0; i < f->sets_n; i++) {
		mp_str(out, f->sets[i].field);
		if (f->sets[i].bytes)
			mp_strn(out, f->sets[i].bytes, f->sets[i].len);
		else
			mp_bool(out, false);
	}
	mp_array_close(out, a);
}

static void pack_timeline(struct buf *out, const struct queue_finish *f)
{
	size_t a;

	if (!f->timeline_n)
		return;
	mp_key(out, "t");
	a = mp_array_open(out);
	for (size_t i = 0; i < f->timeline_n; i++)
		mp_strn(out, f->timeline[i], f->timeline_lens[i]);
	mp_array_close(out, a);
}

static void pack_authzs(struct buf *out, const struct queue_finish *f)
{
	size_t list;

	if (!f->authzs_n)
		return;
	mp_key(out, "a");
	list = mp_array_open(out);
	for (size_t i = 0; i < f->authzs_n; i++) {
		size_t a = mp_array_open(out);

		mp_str(out, f->authzs[i].name);
		mp_str(out, f->authzs[i].authority);
		mp_str(out, f->authzs[i].url);
		mp_int(out, f->authzs[i].expires_ms > 0 ? f->authzs[i].expires_ms : 0);
		mp_array_close(out, a);
	}
	mp_array_close(out, list);
}

static void pack_chain(struct buf *out, const struct queue_finish *f)
{
	size_t a;

	if (!f->chain_sha || !f->chain)
		return;
	mp_key(out, "c");
	a = mp_array_open(out);
	mp_str(out, f->chain_sha);
	mp_strn(out, f->chain, f->chain_len);
	mp_array_close(out, a);
}

void queue_pack_finish(const struct queue_finish *f, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_str(out, "i", f->id);
	mp_key_str(out, "k", f->token);
	mp_key_int(out, "g", (int64_t)f->generation);
	mp_key_int(out, "w", (int64_t)f->want);
	pack_sets(out, f);
	pack_plan(out, "n", f->next);
	pack_plan(out, "o", f->other);
	mp_key_str(out, "p", f->park);
	pack_events(out, f->events, f->events_n);
	pack_timeline(out, f);
	if (f->expiry_ms)
		mp_key_int(out, "x", f->expiry_ms > 0 ? f->expiry_ms : -1);
	pack_chain(out, f);
	pack_authzs(out, f);
	pack_names(out, "d", f->dropped, f->dropped_n);
	mp_key_str(out, "st", f->state);
	mp_key_str(out, "r", f->reason);
	if (f->remove)
		mp_key_bool(out, "z", true);
	mp_map_close(out, map);
}

void queue_pack_apply(const struct queue_apply *a, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_str(out, "src", a->source);
	mp_key_str(out, "rid", a->request_id);
	mp_key_str(out, "sid", a->stream_id);
	mp_key_str(out, "op", a->op);
	mp_key_str(out, "i", a->endpoint ? a->endpoint : "");
	mp_key_int(out, "x", (int64_t)a->expect_generation);
	if (a->config)
		mp_key_strn(out, "c", a->config, a->config_len);
	if (a->tenant && *a->tenant)
		mp_key_str(out, "n", a->tenant);
	if (a->new_generation)
		mp_key_bool(out, "ng", true);
	pack_names(out, "na", a->names_added, a->names_added_n);
	pack_names(out, "nd", a->names_dropped, a->names_dropped_n);
	pack_plan(out, "v", a->verify);
	pack_plan(out, "j", a->issue);
	mp_key_strn(out, "ans", a->answer ? a->answer : "", a->answer ? a->answer_len : 0);
	if (a->timeline)
		mp_key_strn(out, "t", a->timeline, a->timeline_len);
	pack_events(out, a->events, a->events_n);
	mp_map_close(out, map);
}
