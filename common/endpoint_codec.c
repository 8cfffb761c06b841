/* The fields of an endpoint as msgpack maps. Keys are short because a million endpoints carry them.
 */
#include "common/diagnosis.h"
#include "common/endpoint_internal.h"
#include "common/mem.h"
#include "common/mp.h"

#include <string.h>

#define VERSION 1

static size_t open_record(struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "V", VERSION);
	return map;
}

static int close_record(struct buf *out, size_t map)
{
	mp_map_close(out, map);
	return buf_err(out);
}

static int read_record(
	struct mp_doc *doc, const void *bytes, size_t n, struct mp *root, struct why *why)
{
	int64_t version = 0;
	int err = mp_open(doc, bytes, n, root, why);

	if (!err)
		err = mp_get_int(root, "V", &version);
	if (!err && version != VERSION)
		err = why_set(why, CF_EVERSION,
			"record of version %lld: this program reads version %d; update it",
			(long long)version, VERSION);
	return err;
}

/* 0 and false are what absence reads as, so they are not written. */
static void put_bool(struct buf *out, const char *key, bool v)
{
	if (v)
		mp_key_bool(out, key, true);
}

int endpoint_config_encode(const struct endpoint_config *c, struct buf *out)
{
	size_t map = open_record(out), names;

	mp_key_str(out, "id", c->id);
	mp_key_str(out, "tn", c->tenant);
	mp_key_int(out, "ty", c->type);
	put_text(out, "tg", c->target);
	put_text(out, "au", c->authority);
	put_text(out, "pr", c->profile);
	put_text(out, "zo", c->zone);
	mp_key_int(out, "kt", c->key_type);
	mp_key(out, "n");
	names = mp_array_open(out);
	for (size_t i = 0; i < c->names_n; i++)
		mp_str(out, c->names[i]);
	mp_array_close(out, names);
	put_int(out, "cr", c->created_ms);
	put_int(out, "ra", c->renew_asked_ms);
	put_int(out, "va", c->revoke_asked_ms);
	put_int(out, "vr", c->revoke_reason);
	put_bool(out, "rm", c->removing);
	return close_record(out, map);
}

static int decode_names(const struct mp *array, struct endpoint_config *c)
{
	struct mp_iter it = mp_iter(array);
	struct mp v;

	if (mp_count(array) < 1 || mp_count(array) > ENDPOINT_NAMES_MAX)
		return mp_fail(array, CF_EPROTO, "1 to %d names are expected", ENDPOINT_NAMES_MAX);
	c->names = mem_array(mp_count(array), sizeof *c->names);
	while (mp_next(&it, &v))
		mp_as_text(&v, c->names[c->names_n++], sizeof *c->names);
	return 0;
}

int endpoint_config_decode(
	const void *bytes, size_t n, struct endpoint_config *out, struct why *why)
{
	struct endpoint_config c = {0};
	struct mp_doc doc;
	struct mp root, names;
	int64_t reason = 0;
	int err = read_record(&doc, bytes, n, &root, why);

	if (err)
		return err;
	mp_get_text(&root, "id", c.id, sizeof c.id);
	mp_get_text(&root, "tn", c.tenant, sizeof c.tenant);
	c.type = (enum endpoint_type)get_enum(&root, "ty", ENDPOINT_EXTERNAL, ENDPOINT_INTERNAL);
	mp_opt_text(&root, "tg", c.target, sizeof c.target);
	mp_opt_text(&root, "au", c.authority, sizeof c.authority);
	mp_opt_text(&root, "pr", c.profile, sizeof c.profile);
	mp_opt_text(&root, "zo", c.zone, sizeof c.zone);
	c.key_type = (enum key_type)get_enum(&root, "kt", KEY_P256, KEY_RSA4096);
	if (!mp_get_array(&root, "n", &names))
		decode_names(&names, &c);
	mp_opt_int(&root, "cr", &c.created_ms);
	mp_opt_int(&root, "ra", &c.renew_asked_ms);
	mp_opt_int(&root, "va", &c.revoke_asked_ms);
	mp_opt_int_in(&root, "vr", 0, 10, &reason);
	c.revoke_reason = (int32_t)reason;
	mp_opt_bool(&root, "rm", &c.removing);
	err = mp_err(&doc);
	if (err)
		endpoint_config_release(&c);
	else
		*out = c;
	return err;
}

static void encode_look(struct buf *out, const char *key, const struct record_look *l)
{
	size_t map;

	if (l->status == RECORD_UNKNOWN)
		return;
	mp_key(out, key);
	map = mp_map_open(out);
	mp_key_int(out, "s", l->status);
	put_text(out, "c", l->code);
	put_text(out, "o", l->observed);
	put_int(out, "b", l->bad_since_ms);
	mp_map_close(out, map);
}

static void decode_look(const struct mp *of, const char *key, struct record_look *l)
{
	struct mp map;

	if (!mp_opt_map(of, key, &map))
		return;
	l->status = (enum record_status)get_enum(&map, "s", RECORD_UNKNOWN, RECORD_ERROR);
	mp_opt_text(&map, "c", l->code, sizeof l->code);
	mp_opt_text(&map, "o", l->observed, sizeof l->observed);
	mp_opt_int(&map, "b", &l->bad_since_ms);
}

static void encode_probe(struct buf *out, const struct probe *p)
{
	size_t map;

	if (!p->looked_ms)
		return;
	mp_key(out, "pr");
	map = mp_map_open(out);
	put_int(out, "s", p->status);
	put_int(out, "t", p->tries);
	put_int(out, "l", p->looked_ms);
	mp_map_close(out, map);
}

static void decode_probe(const struct mp *of, struct probe *p)
{
	struct mp map;

	if (!mp_opt_map(of, "pr", &map))
		return;
	p->status = (enum probe_status)get_enum(&map, "s", PROBE_UNKNOWN, PROBE_WRONG);
	p->tries = get_u32(&map, "t");
	mp_opt_int(&map, "l", &p->looked_ms);
}

static void encode_name_verdict(struct buf *out, const struct name_verdict *v)
{
	size_t map = mp_map_open(out);

	mp_key_str(out, "n", v->name);
	encode_look(out, "t", &v->traffic);
	encode_look(out, "c", &v->challenge);
	put_int(out, "h", v->http01);
	put_int(out, "d", v->dns01);
	encode_probe(out, &v->probe);
	put_int(out, "k", v->claim);
	put_bool(out, "p", v->proven);
	put_bool(out, "x", v->proof_exclusive);
	mp_map_close(out, map);
}

static void decode_name_verdict(const struct mp *map, struct name_verdict *v)
{
	mp_get_text(map, "n", v->name, sizeof v->name);
	decode_look(map, "t", &v->traffic);
	decode_look(map, "c", &v->challenge);
	v->http01 = (enum verdict)get_enum(map, "h", VERDICT_UNSURE, VERDICT_CANNOT);
	v->dns01 = (enum verdict)get_enum(map, "d", VERDICT_UNSURE, VERDICT_CANNOT);
	decode_probe(map, &v->probe);
	v->claim = (enum claim)get_enum(map, "k", CLAIM_UNPROVEN, CLAIM_ELSEWHERE);
	mp_opt_bool(map, "p", &v->proven);
	mp_opt_bool(map, "x", &v->proof_exclusive);
}

static void encode_bars(struct buf *out, const struct endpoint_verdict *v)
{
	size_t all, map;

	if (!v->bars_n)
		return;
	mp_key(out, "b");
	all = mp_array_open(out);
	for (size_t i = 0; i < v->bars_n; i++) {
		map = mp_map_open(out);
		put_int(out, "n", v->bars[i].name);
		put_text(out, "a", v->bars[i].authority);
		put_int(out, "h", v->bars[i].http01);
		put_int(out, "d", v->bars[i].dns01);
		put_text(out, "c", v->bars[i].code);
		mp_map_close(out, map);
	}
	mp_array_close(out, all);
}

static void decode_bars(const struct mp *root, struct endpoint_verdict *v)
{
	struct mp all, one;

	if (!mp_opt_array(root, "b", &all))
		return;
	if (mp_count(&all) > ENDPOINT_BARS_MAX) {
		mp_fail(&all, CF_ETOOBIG, "at most %d bars are expected", ENDPOINT_BARS_MAX);
		return;
	}
	v->bars = mem_array(mp_count(&all), sizeof *v->bars);
	for (struct mp_iter it = mp_iter(&all); mp_next(&it, &one);) {
		struct verdict_bar *b = &v->bars[v->bars_n++];

		b->name = get_u32(&one, "n");
		mp_get_text(&one, "a", b->authority, sizeof b->authority);
		b->http01 = (enum verdict)get_enum(&one, "h", VERDICT_UNSURE, VERDICT_CANNOT);
		b->dns01 = (enum verdict)get_enum(&one, "d", VERDICT_UNSURE, VERDICT_CANNOT);
		mp_opt_text(&one, "c", b->code, sizeof b->code);
	}
}

static void encode_diagnoses(struct buf *out, const struct endpoint_verdict *v)
{
	if (!v->diagnoses_n)
		return;
	mp_key(out, "f");
	diagnoses_encode(v->diagnoses, v->diagnoses_n, out);
}

static void decode_diagnoses(const struct mp *root, struct endpoint_verdict *v)
{
	struct mp all;

	if (mp_opt_array(root, "f", &all))
		diagnoses_read(&all, &v->diagnoses, &v->diagnoses_n);
}

int endpoint_verdict_encode(const struct endpoint_verdict *v, struct buf *out)
{
	size_t map = open_record(out), names;

	put_int(out, "l", v->looked_ms);
	put_int(out, "dl", v->deep_ms);
	put_int(out, "ch", v->changed_ms);
	put_int(out, "go", v->gone_ms);
	put_int(out, "u", v->unchanged_looks);
	put_text(out, "vi", v->via);
	put_bool(out, "de", v->departed);
	put_bool(out, "fr", v->frozen);
	put_int(out, "g", (int64_t)v->generation);
	mp_key(out, "n");
	names = mp_array_open(out);
	for (size_t i = 0; i < v->names_n; i++)
		encode_name_verdict(out, &v->names[i]);
	mp_array_close(out, names);
	encode_bars(out, v);
	encode_diagnoses(out, v);
	served_encode(out, &v->served);
	return close_record(out, map);
}

int endpoint_verdict_decode(
	const void *bytes, size_t n, struct endpoint_verdict *out, struct why *why)
{
	struct endpoint_verdict v = {0};
	struct mp_doc doc;
	struct mp root, names, one;
	int64_t generation = 0;
	int err = read_record(&doc, bytes, n, &root, why);

	if (err)
		return err;
	mp_opt_int(&root, "l", &v.looked_ms);
	mp_opt_int(&root, "dl", &v.deep_ms);
	mp_opt_int(&root, "ch", &v.changed_ms);
	mp_opt_int(&root, "go", &v.gone_ms);
	v.unchanged_looks = get_u32(&root, "u");
	mp_opt_text(&root, "vi", v.via, sizeof v.via);
	mp_opt_bool(&root, "de", &v.departed);
	mp_opt_bool(&root, "fr", &v.frozen);
	mp_opt_int_in(&root, "g", 0, INT64_MAX, &generation);
	v.generation = (uint64_t)generation;
	if (!mp_get_array(&root, "n", &names) && mp_count(&names) > ENDPOINT_NAMES_MAX)
		mp_fail(&names, CF_EPROTO, "at most %d names are expected", ENDPOINT_NAMES_MAX);
	if (!mp_err(&doc)) {
		v.names = mem_array(mp_count(&names), sizeof *v.names);
		for (struct mp_iter it = mp_iter(&names); mp_next(&it, &one);)
			decode_name_verdict(&one, &v.names[v.names_n++]);
		decode_bars(&root, &v);
		decode_diagnoses(&root, &v);
		served_decode(&root, &v.served);
	}
	err = mp_err(&doc);
	if (err)
		endpoint_verdict_release(&v);
	else
		*out = v;
	return err;
}

int endpoint_cert_encode(const struct endpoint_cert *x, struct buf *out)
{
	size_t map = open_record(out);

	mp_key_strn(out, "x", x->der, x->der_len);
	put_text(out, "ch", x->chain_sha);
	put_text(out, "au", x->authority);
	put_text(out, "s", x->serial);
	put_text(out, "ai", x->ari_id);
	put_int(out, "nb", x->not_before_ms);
	put_int(out, "na", x->not_after_ms);
	put_int(out, "is", x->issued_ms);
	put_int(out, "ra", x->renew_at_ms);
	put_int(out, "as", x->ari_start_ms);
	put_int(out, "ae", x->ari_end_ms);
	put_int(out, "an", x->ari_next_ms);
	put_int(out, "w", (int64_t)x->wanted);
	put_int(out, "rn", x->renewals);
	put_int(out, "rv", x->revoked_ms);
	put_int(out, "kt", x->key_type);
	put_bool(out, "p", x->partial);
	return close_record(out, map);
}

static void decode_cert_times(const struct mp *root, struct endpoint_cert *x)
{
	int64_t wanted = 0;

	mp_opt_int(root, "nb", &x->not_before_ms);
	mp_opt_int(root, "na", &x->not_after_ms);
	mp_opt_int(root, "is", &x->issued_ms);
	mp_opt_int(root, "ra", &x->renew_at_ms);
	mp_opt_int(root, "as", &x->ari_start_ms);
	mp_opt_int(root, "ae", &x->ari_end_ms);
	mp_opt_int(root, "an", &x->ari_next_ms);
	mp_opt_int(root, "rv", &x->revoked_ms);
	mp_opt_int(root, "w", &wanted);
	x->wanted = (uint64_t)wanted;
}

int endpoint_cert_decode(const void *bytes, size_t n, struct endpoint_cert *out, struct why *why)
{
	struct endpoint_cert x = {0};
	struct mp_doc doc;
	struct mp root;
	const unsigned char *der = NULL;
	int err = read_record(&doc, bytes, n, &root, why);

	if (err)
		return err;
	mp_get_bytes(&root, "x", &der, &x.der_len);
	mp_opt_text(&root, "ch", x.chain_sha, sizeof x.chain_sha);
	mp_opt_text(&root, "au", x.authority, sizeof x.authority);
	mp_opt_text(&root, "s", x.serial, sizeof x.serial);
	mp_opt_text(&root, "ai", x.ari_id, sizeof x.ari_id);
	decode_cert_times(&root, &x);
	x.renewals = get_u32(&root, "rn");
	x.key_type = (enum key_type)get_enum(&root, "kt", KEY_P256, KEY_RSA4096);
	mp_opt_bool(&root, "p", &x.partial);
	err = mp_err(&doc);
	if (err)
		return err;
	x.der = mem_dup(der, x.der_len);
	*out = x;
	return 0;
}

int endpoint_issuance_encode(const struct endpoint_issuance *i, struct buf *out)
{
	size_t map = open_record(out);

	put_int(out, "f", i->failures);
	put_int(out, "fa", i->failed_ms);
	put_int(out, "nx", i->next_ms);
	put_int(out, "or", i->ordered_ms);
	put_text(out, "c", i->code);
	put_text(out, "d", i->detail);
	put_text(out, "ac", i->actor);
	put_text(out, "ch", i->challenge);
	put_int(out, "rv", i->revoked_ms);
	put_int(out, "w", i->wait_ms);
	put_int(out, "ww", (int64_t)i->wait_wanted);
	put_text(out, "wt", i->wait);
	put_bool(out, "wb", i->wait_breaker);
	return close_record(out, map);
}

int endpoint_issuance_decode(
	const void *bytes, size_t n, struct endpoint_issuance *out, struct why *why)
{
	struct endpoint_issuance i = {0};
	int64_t wanted = 0;
	struct mp_doc doc;
	struct mp root;
	int err = read_record(&doc, bytes, n, &root, why);

	if (err)
		return err;
	i.failures = get_u32(&root, "f");
	mp_opt_int(&root, "fa", &i.failed_ms);
	mp_opt_int(&root, "nx", &i.next_ms);
	mp_opt_int(&root, "or", &i.ordered_ms);
	mp_opt_text(&root, "c", i.code, sizeof i.code);
	mp_opt_text(&root, "d", i.detail, sizeof i.detail);
	mp_opt_text(&root, "ac", i.actor, sizeof i.actor);
	mp_opt_text(&root, "ch", i.challenge, sizeof i.challenge);
	mp_opt_int(&root, "rv", &i.revoked_ms);
	mp_opt_int(&root, "w", &i.wait_ms);
	mp_opt_int(&root, "ww", &wanted);
	mp_opt_text(&root, "wt", i.wait, sizeof i.wait);
	mp_opt_bool(&root, "wb", &i.wait_breaker);
	i.wait_wanted = (uint64_t)wanted;
	err = mp_err(&doc);
	if (!err)
		*out = i;
	return err;
}

/* The n-th value of the job record's array, in the order that common/queue.h and the scripts keep.
 */
static void job_value(size_t n, const struct mp *v, struct job_record *j)
{
	int64_t i = 0;

	if (n == 8)
		mp_as_text(v, j->token, sizeof j->token);
	else if (n == 9)
		mp_as_text(v, j->worker, sizeof j->worker);
	else if (n == 11)
		mp_as_text(v, j->why, sizeof j->why);
	else if (n > 11 || mp_as_int_in(v, 0, INT64_MAX, &i))
		return;
	if (n == 0 && i <= JOB_PARKED)
		j->where = (enum job_where)i;
	else if (n == 1)
		j->due_ms = i;
	else if (n == 2 && i <= LANE_SUSPECT)
		j->lane = (enum job_lane)i;
	else if (n == 3 && i <= INTENT_REMOVE)
		j->intent = (enum job_intent)i;
	else if (n == 4)
		j->attempt = (uint32_t)i;
	else if (n == 5)
		j->lapses = (uint32_t)i;
	else if (n == 6)
		j->want = (uint64_t)i;
	else if (n == 7)
		j->have = (uint64_t)i;
	else if (n == 10)
		j->since_ms = i;
}

int job_record_decode(const void *bytes, size_t n, struct job_record *out, struct why *why)
{
	struct job_record j = {0};
	struct mp_doc doc;
	struct mp root, v;
	size_t i = 0;
	int err = mp_open(&doc, bytes, n, &root, why);

	if (err)
		return err;
	if (mp_type(&root) != MP_ARRAY || mp_count(&root) < 12)
		return mp_fail(&root, CF_EPROTO, "a job record of 12 values is expected");
	for (struct mp_iter it = mp_iter(&root); mp_next(&it, &v);)
		job_value(i++, &v, &j);
	err = mp_err(&doc);
	if (!err)
		*out = j;
	return err;
}

static int decode_optional(const struct endpoint_field *f, struct endpoint *e, struct why *why)
{
	int err = 0;

	if (f[2].bytes && !(err = endpoint_verdict_decode(f[2].bytes, f[2].len, &e->verdict, why)))
		e->has_verdict = true;
	if (!err && f[3].bytes &&
		!(err = endpoint_cert_decode(f[3].bytes, f[3].len, &e->cert, why)))
		e->has_cert = true;
	if (!err && f[4].bytes)
		err = endpoint_issuance_decode(f[4].bytes, f[4].len, &e->issuance, why);
	for (int q = 0; q < 2 && !err; q++)
		if (f[5 + q].bytes)
			err = job_record_decode(f[5 + q].bytes, f[5 + q].len, &e->jobs[q], why);
	return err;
}

static uint64_t decode_generation(const struct endpoint_field *f)
{
	char text[24] = "";

	if (f->bytes && f->len < sizeof text)
		memcpy(text, f->bytes, f->len);
	return strtoull(text, NULL, 10);
}

int endpoint_decode(const struct endpoint_field fields[ENDPOINT_FIELDS_N], struct endpoint *out,
	struct why *why)
{
	struct endpoint e = {0};
	int err;

	if (!fields[0].bytes)
		return why_set(why, CF_ENOTFOUND, "there is no such endpoint");
	err = endpoint_config_decode(fields[0].bytes, fields[0].len, &e.config, why);
	if (err)
		return err;
	e.generation = decode_generation(&fields[1]);
	e.has_checkpoint = fields[7].bytes != NULL;
	e.has_dropped = fields[8].bytes != NULL;
	err = decode_optional(fields, &e, why);
	if (err)
		endpoint_release(&e);
	else
		*out = e;
	return err;
}
