/* facts.h - everything that a page about one endpoint shows, as a value; and the pages themselves.
 *
 * Rendering looks at nothing but its arguments, so that tests compare exact text.
 */
#pragma once

#include "common/endpoint.h"
#include "scheduler/cli/term.h"

#include <jansson.h>

/** What happened to an endpoint: an entry of field t. */
struct timeline_entry {
	int64_t t_ms;
	char what[48];
	char text[300];
};

struct facts {
	struct endpoint endpoint;
	enum endpoint_state state;
	char reason[ENDPOINT_CODE_MAX + 1];
	struct owner_record *records; /* owned; borrow from endpoint */
	size_t records_n;
	const char
		*no_records; /* why there are none: the label key cannot be read here; else NULL */
	char issuer[128];    /* of the certificate; "" if unknown */
	struct timeline_entry *timeline; /* owned; oldest first */
	size_t timeline_n;
};

void facts_release(struct facts *f);
/** State and reason from the endpoint. */
void facts_judge(struct facts *f, int64_t now_ms);
/** Reads the issuer from the certificate: costs a decoding of X.509, so not for lists. */
void facts_issuer(struct facts *f);
/** Reads field t. Entries that cannot be read are left out. */
void facts_timeline(struct facts *f, const void *bytes, size_t n);

/* Pages */
void facts_page(const struct facts *f, const struct view *view, struct buf *out);
/** The records to create, with what was seen of each. */
void facts_records(const struct facts *f, const struct view *view, size_t indent, struct buf *out);
/** What is wrong, each with what was expected and found, the edit, the effect and the next look. */
void facts_findings(const struct facts *f, const struct view *view, size_t indent, struct buf *out);
/** By which challenge each name would be validated, and why. */
void facts_choices(const struct facts *f, const struct view *view, size_t indent, struct buf *out);
/** Lines of a zone file. */
void facts_zone(const struct facts *f, struct buf *out);
void facts_certificate(
	const struct facts *f, const struct view *view, size_t indent, struct buf *out);
/** One row of `endpoint list`. */
extern const struct table_column facts_list_columns[];
extern const size_t facts_list_columns_n;
void facts_list_row(const struct facts *f, const struct view *view, struct table *t);
/** A job's row, for tables with the columns of facts_job_columns (from the second on: without the
 * endpoint). */
extern const struct table_column facts_job_columns[];
extern const size_t facts_job_columns_n;
void facts_job_row(
	const struct facts *f, enum queue_id q, const struct view *view, struct table *t);

/** True if every record that must be created was seen right. */
bool facts_records_right(const struct facts *f);

/* JSON (facts_json.c): a new reference. `whole` adds records, findings, jobs and timeline. */
json_t *facts_json(const struct facts *f, bool whole);
json_t *facts_records_json(const struct facts *f);
json_t *facts_findings_json(const struct facts *f);
json_t *facts_choice_json(const struct facts *f, const char *name);
json_t *facts_certificate_json(const struct facts *f);
json_t *facts_job_json(const struct facts *f, enum queue_id q);
/** Text made valid UTF-8. */
json_t *json_text(const char *s);
/** RFC 3339, or null for 0. */
json_t *json_time(int64_t ms);
struct breaker_row;
/** A circuit breaker, as the API and `certfleet status` show it. */
json_t *breaker_json(const struct breaker_row *r);
