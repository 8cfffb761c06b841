/* Diagnoses as msgpack: [version, { … }, …]. Keys are short, for they lie in Redis with their
 * endpoint; what is empty is not written. */
#include "common/diagnosis.h"

#include "common/mem.h"
#include "common/mp.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1

static void put_text(struct buf *out, const char *key, const char *s)
{
	if (s[0])
		mp_key_str(out, key, s);
}

static void put_int(struct buf *out, const char *key, int64_t v)
{
	if (v)
		mp_key_int(out, key, v);
}

static void put_observed(struct buf *out, const struct diagnosis *d)
{
	size_t all, one;

	if (!d->observed_n)
		return;
	mp_key(out, "o");
	all = mp_array_open(out);
	for (size_t i = 0; i < d->observed_n; i++) {
		one = mp_array_open(out);
		mp_str(out, d->observed[i].server);
		mp_str(out, d->observed[i].what);
		mp_int(out, d->observed[i].ttl_s);
		mp_array_close(out, one);
	}
	mp_array_close(out, all);
}

static void put_one(struct buf *out, const struct diagnosis *d)
{
	size_t map = mp_map_open(out);

	mp_key_str(out, "c", d->code);
	mp_key_int(out, "s", d->severity);
	mp_key_int(out, "a", d->actor);
	put_text(out, "n", d->name);
	put_text(out, "r", d->record);
	put_text(out, "e", d->expected);
	put_observed(out, d);
	put_int(out, "om", (int64_t)d->observed_more);
	put_text(out, "f", d->fix);
	put_text(out, "x", d->effect);
	put_int(out, "xm", d->effect_ms);
	put_int(out, "si", d->since_ms);
	put_int(out, "nc", d->next_check_ms);
	put_text(out, "au", d->authority);
	put_text(out, "p", d->provider);
	mp_map_close(out, map);
}

int diagnoses_encode(const struct diagnosis *d, size_t n, struct buf *out)
{
	size_t all = mp_array_open(out);

	mp_int(out, VERSION);
	for (size_t i = 0; i < n && i < DIAGNOSES_MAX; i++)
		put_one(out, &d[i]);
	mp_array_close(out, all);
	return buf_err(out);
}

static void take_seen(const struct mp *seen, struct diagnosis_observed *o)
{
	struct mp_iter it = mp_iter(seen);
	struct mp v;
	int64_t ttl = 0;

	if (mp_type(seen) != MP_ARRAY || mp_count(seen) != 3) {
		mp_fail(seen, CF_EPROTO, "server, what it said and its TTL are expected");
		return;
	}
	mp_next(&it, &v);
	mp_as_text(&v, o->server, sizeof o->server);
	mp_next(&it, &v);
	mp_as_text(&v, o->what, sizeof o->what);
	mp_next(&it, &v);
	if (!mp_as_int_in(&v, 0, UINT32_MAX, &ttl))
		o->ttl_s = (uint32_t)ttl;
}

static void take_observed(const struct mp *map, struct diagnosis *d)
{
	struct mp all, one;
	int64_t more = 0;

	mp_opt_int_in(map, "om", 0, UINT32_MAX, &more);
	d->observed_more = (size_t)more;
	if (!mp_opt_array(map, "o", &all))
		return;
	if (mp_count(&all) > DIAGNOSIS_OBSERVED_MAX) {
		mp_fail(&all, CF_ETOOBIG, "at most %d servers are expected",
			DIAGNOSIS_OBSERVED_MAX);
		return;
	}
	for (struct mp_iter it = mp_iter(&all); mp_next(&it, &one);)
		take_seen(&one, &d->observed[d->observed_n++]);
}

static void take_one(const struct mp *map, struct diagnosis *d)
{
	int64_t severity = 0, actor = 0;

	mp_get_text(map, "c", d->code, sizeof d->code);
	mp_get_int_in(map, "s", DIAGNOSIS_INFO, DIAGNOSIS_CRITICAL, &severity);
	mp_get_int_in(map, "a", ACTOR_OWNER, ACTOR_NOBODY, &actor);
	d->severity = (enum diagnosis_severity)severity;
	d->actor = (enum diagnosis_actor)actor;
	mp_opt_text(map, "n", d->name, sizeof d->name);
	mp_opt_text(map, "r", d->record, sizeof d->record);
	mp_opt_text(map, "e", d->expected, sizeof d->expected);
	take_observed(map, d);
	mp_opt_text(map, "f", d->fix, sizeof d->fix);
	mp_opt_text(map, "x", d->effect, sizeof d->effect);
	mp_opt_int(map, "xm", &d->effect_ms);
	mp_opt_int(map, "si", &d->since_ms);
	mp_opt_int(map, "nc", &d->next_check_ms);
	mp_opt_text(map, "au", d->authority, sizeof d->authority);
	mp_opt_text(map, "p", d->provider, sizeof d->provider);
}

/* How many maps follow the version. */
static int count_of(const struct mp *root, struct mp_iter *it, size_t *n)
{
	struct mp v;
	int64_t version = 0;

	*it = mp_iter(root);
	if (mp_type(root) != MP_ARRAY || !mp_next(it, &v) || mp_as_int(&v, &version))
		return mp_fail(
			root, CF_EPROTO, "an array that begins with its version is expected");
	if (version != VERSION)
		return mp_fail(&v, CF_EVERSION, "diagnoses of version %lld: %d is read here",
			(long long)version, VERSION);
	*n = mp_count(root) - 1;
	return *n > DIAGNOSES_MAX ? mp_fail(root, CF_ETOOBIG, "at most %d diagnoses are expected",
					    DIAGNOSES_MAX)
				  : 0;
}

int diagnoses_read(const struct mp *array, struct diagnosis **out, size_t *out_n)
{
	struct diagnosis *d = NULL;
	struct mp one;
	struct mp_iter it;
	size_t count = 0, i = 0;
	int err = count_of(array, &it, &count);

	if (err)
		return err;
	if (count)
		d = mem_array(count, sizeof *d);
	while (mp_next(&it, &one))
		take_one(&one, &d[i++]);
	err = mp_err(array->doc);
	if (err) {
		free(d);
		return err;
	}
	*out = d;
	*out_n = count;
	return 0;
}

int diagnoses_decode(
	const void *bytes, size_t n, struct diagnosis **out, size_t *out_n, struct why *why)
{
	struct mp_doc doc;
	struct mp root;
	int err = mp_open(&doc, bytes, n, &root, why);

	return err ? err : diagnoses_read(&root, out, out_n);
}
