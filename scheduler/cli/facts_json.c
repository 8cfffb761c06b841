/* facts_json.c - an endpoint as JSON, in the words of the HTTP API (see facts.h). */
#include "scheduler/cli/facts.h"

#include "common/breaker.h"
#include "common/clock.h"
#include "common/str.h"
#include "scheduler/cli/words.h"

#include <string.h>

json_t *json_text(const char *s)
{
	char clean[2048];

	return json_string(str_clean(s, strlen(s), clean, sizeof clean));
}

json_t *json_time(int64_t ms)
{
	char text[CLOCK_RFC3339_LEN];

	return ms == 0 ? json_null() : json_string(clock_rfc3339(ms, text));
}

static json_t *text_or_null(const char *s)
{
	return s == NULL || *s == '\0' ? json_null() : json_text(s);
}

static json_t *names_json(const struct endpoint_config *c)
{
	json_t *names = json_array();

	for (size_t i = 0; i < c->names_n; i++)
		json_array_append_new(names, json_text(c->names[i]));
	return names;
}

json_t *facts_records_json(const struct facts *f)
{
	json_t *all = json_array();

	for (size_t i = 0; i < f->records_n; i++) {
		const struct owner_record *r = &f->records[i];
		const struct record_look *look = r->look;
		json_array_append_new(all,
			json_pack("{s:o s:s s:o s:s s:o s:s s:o s:o s:o}", "owner",
				json_text(r->owner), "type", "CNAME", "target",
				json_text(r->target), "purpose",
				r->challenge ? "challenge" : "traffic", "name", json_text(r->name),
				"status", look ? words_record_status(look->status) : "unknown",
				"code", text_or_null(look ? look->code : NULL), "means",
				look && look->code[0] ? json_text(words_means(look->code))
						      : json_null(),
				"observed", text_or_null(look ? look->observed : NULL)));
	}
	return all;
}

static json_t *dns_json(const struct facts *f)
{
	const struct endpoint *e = &f->endpoint;
	const struct endpoint_verdict *v = &e->verdict;
	json_t *names = json_array();

	if (!e->has_verdict) {
		json_decref(names);
		return json_null();
	}
	for (size_t i = 0; i < v->names_n; i++) {
		const struct name_verdict *n = &v->names[i];
		json_array_append_new(
			names, json_pack("{s:o s:s s:s s:s s:b s:o}", "name", json_text(n->name),
				       "http-01", words_verdict(n->http01), "dns-01",
				       words_verdict(n->dns01), "claim", words_claim(n->claim),
				       "proven", n->proven, "uses", facts_choice_json(f, n->name)));
	}
	return json_pack("{s:o s:o s:o s:b s:I s:I s:o}", "looked", json_time(v->looked_ms), "deep",
		json_time(v->deep_ms), "changed", json_time(v->changed_ms), "frozen", v->frozen,
		"unchanged_looks", (json_int_t)v->unchanged_looks, "generation",
		(json_int_t)v->generation, "names", names);
}

static const char *cert_status(const struct facts *f)
{
	const struct endpoint_cert *x = &f->endpoint.cert;

	if (x->revoked_ms != 0)
		return "revoked";
	if (f->state == STATE_EXPIRED)
		return "expired";
	return f->endpoint.config.renew_asked_ms > x->issued_ms ? "due" : "valid";
}

json_t *facts_certificate_json(const struct facts *f)
{
	const struct endpoint_cert *x = &f->endpoint.cert;
	const char *key = key_type_name(x->key_type);

	if (!f->endpoint.has_cert)
		return json_null();
	json_t *ari = json_null();
	if (x->ari_start_ms != 0 || x->ari_next_ms != 0)
		ari = json_pack("{s:o s:o s:o}", "start", json_time(x->ari_start_ms), "end",
			json_time(x->ari_end_ms), "next", json_time(x->ari_next_ms));
	json_t *j = json_pack("{s:s s:o s:o s:o s:o s:o s:o s:o s:o s:s s:I s:b}", "status",
		cert_status(f), "serial", json_text(x->serial), "issuer", text_or_null(f->issuer),
		"authority", json_text(x->authority), "not_before", json_time(x->not_before_ms),
		"not_after", json_time(x->not_after_ms), "issued", json_time(x->issued_ms),
		"renew_at", json_time(x->renew_at_ms), "ari", ari, "key_type", key ? key : "",
		"renewals", (json_int_t)x->renewals, "partial", x->partial);
	json_object_set_new(j, "ari_id", text_or_null(x->ari_id));
	json_object_set_new(j, "revoked", json_time(x->revoked_ms));
	return j;
}

static json_t *waiting_json(const struct endpoint *e)
{
	int64_t ticket = endpoint_quota_ticket(e);

	if (ticket == 0)
		return json_null();
	return json_pack(
		"{s:o s:o}", "limit", text_or_null(e->issuance.wait), "until", json_time(ticket));
}

static json_t *issuance_json(const struct endpoint *e)
{
	const struct endpoint_issuance *i = &e->issuance;

	return json_pack("{s:I s:o s:o s:o s:o s:o s:o s:o s:b s:o}", "failures",
		(json_int_t)i->failures, "failed", json_time(i->failed_ms), "next",
		json_time(i->next_ms), "ordered", json_time(i->ordered_ms), "code",
		text_or_null(i->code), "detail", text_or_null(i->detail), "actor",
		text_or_null(i->actor), "challenge", text_or_null(i->challenge), "order_open",
		e->has_checkpoint, "waiting_quota", waiting_json(e));
}

json_t *facts_job_json(const struct facts *f, enum queue_id q)
{
	const struct job_record *j = &f->endpoint.jobs[q];

	return json_pack("{s:o s:s s:s s:s s:s s:o s:I s:I s:o s:o s:o}", "endpoint",
		json_text(f->endpoint.config.id), "queue", queue_name(q), "where",
		job_where_name(j->where), "intent", job_intent_name(j->intent), "lane",
		job_lane_name(j->lane), j->where == JOB_RUNNING ? "lease_until" : "due",
		json_time(j->due_ms), "attempt", (json_int_t)j->attempt, "lapses",
		(json_int_t)j->lapses, "worker", text_or_null(j->worker), "since",
		json_time(j->since_ms), "why", text_or_null(j->why));
}

static json_t *served_json(const struct served *s)
{
	json_t *behind = json_array();

	for (size_t i = 0; i < s->behind_n; i++)
		json_array_append_new(behind,
			json_pack("{s:o s:o s:o s:o}", "address", json_text(s->behind[i].at),
				"code", json_text(s->behind[i].code), "means",
				json_text(words_means(s->behind[i].code)), "what",
				json_text(s->behind[i].what)));
	return json_pack("{s:s s:o s:o s:I s:I s:o s:o s:o}", "status",
		served_status_name(s->status), "reason", text_or_null(s->why), "means",
		s->why[0] ? json_text(words_means(s->why)) : json_null(), "right",
		(json_int_t)s->right, "addresses", (json_int_t)s->addresses, "behind", behind,
		"looked", json_time(s->looked_ms), "serial", text_or_null(s->serial));
}

static void add_whole(const struct facts *f, json_t *j)
{
	json_t *jobs = json_array();
	json_t *timeline = json_array();

	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++)
		if (f->endpoint.jobs[q].where != JOB_NONE)
			json_array_append_new(jobs, facts_job_json(f, q));
	for (size_t i = 0; i < f->timeline_n; i++)
		json_array_append_new(
			timeline, json_pack("{s:o s:o s:o}", "time", json_time(f->timeline[i].t_ms),
					  "what", json_text(f->timeline[i].what), "text",
					  json_text(f->timeline[i].text)));
	json_object_set_new(j, "records", f->no_records ? json_null() : facts_records_json(f));
	json_object_set_new(j, "findings", facts_findings_json(f));
	json_object_set_new(j, "dns", dns_json(f));
	json_object_set_new(j, "served", served_json(&f->endpoint.verdict.served));
	json_object_set_new(j, "issuance", issuance_json(&f->endpoint));
	json_object_set_new(j, "jobs", jobs);
	json_object_set_new(j, "timeline", timeline);
}

json_t *facts_json(const struct facts *f, bool whole)
{
	const struct endpoint_config *c = &f->endpoint.config;
	const char *key = key_type_name(c->key_type);
	json_t *j = json_pack("{s:o s:o s:s s:o s:o s:o s:o s:o s:o s:o s:s s:I s:o}", "id",
		json_text(c->id), "tenant", json_text(c->tenant), "state",
		endpoint_state_name(f->state), "reason", text_or_null(f->reason), "type",
		json_string(words_type(c->type)), "target", text_or_null(c->target), "names",
		names_json(c), "authority", text_or_null(c->authority), "profile",
		text_or_null(c->profile), "zone", text_or_null(c->zone), "key_type", key ? key : "",
		"generation", (json_int_t)f->endpoint.generation, "created",
		json_time(c->created_ms));

	if (f->reason[0])
		json_object_set_new(j, "means", json_text(words_means(f->reason)));
	json_object_set_new(j, "certificate", facts_certificate_json(f));
	if (whole)
		add_whole(f, j);
	return j;
}

json_t *breaker_json(const struct breaker_row *r)
{
	return json_pack("{s:s s:s s:s s:b s:o s:o s:o s:I s:I s:o}", "authority", r->authority,
		"way", breaker_way_name(r->way), "state", breaker_state_name(r->state), "armed",
		r->armed, "since", json_time(r->since_ms), "failing_since", json_time(r->from_ms),
		"canary_next", json_time(r->next_ms), "canary_failed", (json_int_t)r->tries,
		"failures", (json_int_t)r->failures, "why", text_or_null(r->why));
}
