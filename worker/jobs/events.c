#include "worker/jobs/events.h"

#include "common/diagnosis.h"
#include "common/mp.h"

static size_t open_data(struct buf *out, const struct endpoint *e)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "V", 1);
	mp_key_str(out, "endpoint", e->config.id);
	mp_key_str(out, "tenant", e->config.tenant);
	return map;
}

static void put_names(struct buf *out, const struct endpoint *e)
{
	size_t names;

	mp_key(out, "names");
	names = mp_array_open(out);
	for (size_t i = 0; i < e->config.names_n; i++)
		mp_str(out, e->config.names[i]);
	mp_array_close(out, names);
}

void event_certificate(
	struct buf *out, const struct endpoint *e, const char *issuer, const char *replaced)
{
	const struct endpoint_cert *x = &e->cert;
	size_t map = open_data(out, e);

	put_names(out, e);
	mp_key_str(out, "serial", x->serial);
	mp_key_str(out, "issuer", issuer);
	mp_key_str(out, "authority", x->authority);
	mp_key_str(out, "key_type", key_type_name(x->key_type));
	mp_key_int(out, "not_before", x->not_before_ms);
	mp_key_int(out, "not_after", x->not_after_ms);
	mp_key_int(out, "renew_at", x->renew_at_ms);
	mp_key_int(out, "renewals", x->renewals);
	mp_key_bool(out, "partial", x->partial);
	mp_key_str(out, "chain", x->chain_sha);
	if (replaced[0])
		mp_key_str(out, "replaced", replaced);
	mp_map_close(out, map);
}

void event_served(struct buf *out, const struct endpoint *e)
{
	size_t map = open_data(out, e);

	put_names(out, e);
	mp_key_str(out, "serial", e->verdict.served.serial);
	mp_key_int(out, "addresses", e->verdict.served.addresses);
	mp_map_close(out, map);
}

void event_revoked(struct buf *out, const struct endpoint *e, const char *serial,
	const char *authority, int reason)
{
	size_t map = open_data(out, e);

	mp_key_str(out, "serial", serial);
	mp_key_str(out, "authority", authority);
	mp_key_int(out, "reason", reason);
	mp_map_close(out, map);
}

void event_failed(struct buf *out, const struct endpoint *e, const char *authority,
	const struct acme_failure *f, int64_t next_ms)
{
	size_t map = open_data(out, e);

	put_names(out, e);
	mp_key_str(out, "authority", authority);
	mp_key_str(out, "code", f->code);
	mp_key_str(out, "detail", f->detail);
	mp_key_str(out, "class", acme_class_name(f->class));
	mp_key_str(out, "actor", e->issuance.actor);
	mp_key_str(out, "step", f->step);
	if (f->failed_name[0])
		mp_key_str(out, "name", f->failed_name);
	if (f->failed_type[0])
		mp_key_str(out, "challenge", f->failed_type);
	mp_key_int(out, "failures", e->issuance.failures);
	mp_key_int(out, "next", next_ms);
	mp_map_close(out, map);
}

void event_removed(struct buf *out, const struct endpoint *e)
{
	size_t map = open_data(out, e);

	put_names(out, e);
	mp_key_str(out, "serial", e->has_cert ? e->cert.serial : NULL);
	mp_map_close(out, map);
}

static const char *const status_names[] = {"unknown", "missing", "wrong", "right", "error"};

static void put_look(struct buf *out, const char *key, const struct record_look *l)
{
	size_t map;

	if (l->status == RECORD_UNKNOWN)
		return;
	mp_key(out, key);
	map = mp_map_open(out);
	mp_key_str(out, "status", status_names[l->status]);
	mp_key_str(out, "code", l->code);
	mp_key_str(out, "observed", l->observed);
	mp_map_close(out, map);
}

static void put_findings(struct buf *out, const struct endpoint_verdict *v)
{
	size_t all, one;

	mp_key(out, "findings");
	all = mp_array_open(out);
	for (size_t i = 0; i < v->diagnoses_n; i++) {
		const struct diagnosis *d = &v->diagnoses[i];
		_buf_release_ struct buf text = BUF_INIT(2048);

		diagnosis_sentence(d, &text);
		one = mp_map_open(out);
		mp_key_str(out, "code", d->code);
		mp_key_str(out, "severity", diagnosis_severity_word(d->severity));
		mp_key_str(out, "actor", diagnosis_actor_word(d->actor));
		mp_key_str(out, "name", d->name);
		mp_key_str(out, "text", buf_cstr(&text));
		mp_key_str(out, "fix", d->fix);
		mp_key_int(out, "effect", d->effect_ms);
		mp_map_close(out, one);
	}
	mp_array_close(out, all);
}

void event_dns(struct buf *out, const struct endpoint *e)
{
	static const char *const claims[] = {"unproven", "held", "held_elsewhere"};
	size_t map = open_data(out, e), names;

	mp_key(out, "records");
	names = mp_array_open(out);
	for (size_t i = 0; i < e->verdict.names_n; i++) {
		const struct name_verdict *v = &e->verdict.names[i];
		size_t one = mp_map_open(out);

		mp_key_str(out, "name", v->name);
		put_look(out, "traffic", &v->traffic);
		put_look(out, "challenge", &v->challenge);
		mp_key_str(out, "claim", claims[v->claim]);
		mp_map_close(out, one);
	}
	mp_array_close(out, names);
	put_findings(out, &e->verdict);
	mp_map_close(out, map);
}
