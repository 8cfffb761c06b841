/* Orders and the circuit breakers (worker/breaker.h): who waits for a canary, and whose failure was
 * not its own. */
#include "worker/breaker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/jobs/issue_internal.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

/* --- which types are left */

static enum breaker_way way_of(enum acme_challenge_type type)
{
	return type == ACME_HTTP_01 ? BREAKER_HTTP01 : BREAKER_DNS01;
}

static const struct breaker_row *type_shut(
	const struct issue *s, const char *authority, enum acme_challenge_type type)
{
	return breaker_shut(s->w->breaker, authority, way_of(type));
}

void issue_breaker_choices(const struct issue *s, struct acme_identifier *id)
{
	size_t kept = 0;
	enum acme_challenge_type open[ACME_CHOICES_MAX];

	for (size_t i = 0; i < id->n_choices; i++)
		if (!type_shut(s, s->authority, id->choices[i]))
			open[kept++] = id->choices[i];
	if (!kept) /* it is tried all the same */
		return;
	memcpy(id->choices, open, kept * sizeof *open);
	id->n_choices = kept;
}

/* The row by which nothing can be ordered there now, or NULL. */
static const struct breaker_row *shut_at(const struct issue *s, const char *authority)
{
	const struct breaker_row *row = breaker_shut(s->w->breaker, authority, BREAKER_ORDERS);

	for (size_t i = 0; i < s->names_n && !row; i++) {
		struct acme_identifier id = {.name = s->names[i]};

		issue_fill_choices(&s->job->endpoint, s->names[i], authority, &id);
		for (size_t k = 0; k < id.n_choices; k++) {
			row = type_shut(s, authority, id.choices[k]);
			if (!row)
				break;
		}
	}
	return row;
}

/* --- waiting */

int64_t issue_half_time(const struct endpoint *e)
{
	const struct endpoint_cert *x = &e->cert;

	return x->renew_at_ms + (x->not_after_ms - x->renew_at_ms) / 2;
}

/* In the second half of the time that its plan left, a renewal is tried whatever we believe. */
static bool is_tried_all_the_same(const struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;

	return s->intent == INTENT_REMOVE || s->intent == INTENT_REVOKE ||
	       (s->intent == INTENT_RENEW && clock_wall_ms() >= issue_half_time(e));
}

/* A failure since the trouble began was not the endpoint's. */
static void take_back(struct endpoint_issuance *i, int64_t from_ms)
{
	if (!i->failures || i->failed_ms < from_ms)
		return;
	i->next_ms = i->ordered_ms = 0;
	if (--i->failures)
		return;
	i->code[0] = i->detail[0] = i->actor[0] = '\0';
}

/* Not all come at once, and a renewal not later than when it is tried all the same. */
static int64_t ticket(const struct issue *s, const struct breaker_row *row, int64_t now)
{
	const struct endpoint *e = &s->job->endpoint;
	int64_t at = breaker_ticket_ms(s->w->breaker, row, now, issue_roll());

	return s->intent == INTENT_RENEW && issue_half_time(e) < at ? issue_half_time(e) : at;
}

static void pause_for(struct issue *s, const struct breaker_row *row)
{
	struct endpoint *e = &s->job->endpoint;
	struct endpoint_issuance *i = &e->issuance;
	bool waited = i->wait_breaker && endpoint_quota_ticket(e) != 0;
	int64_t now = clock_wall_ms();
	char until[CLOCK_RFC3339_LEN];

	take_back(i, row->from_ms);
	i->wait_ms = ticket(s, row, now);
	i->wait_wanted = endpoint_wanted(&e->config);
	i->wait_breaker = true;
	snprintf(i->wait, sizeof i->wait, "%s at %.64s, which fails for everybody",
		breaker_way_name(row->way), row->authority);
	LOG(INFO, "waiting_breaker", LF("endpoint", s->job->id), LF("authority", row->authority),
		LF("way", breaker_way_name(row->way)),
		LF("until", clock_rfc3339(i->wait_ms, until)));
	metric_inc(&stats_orders, LABELS(s->authority, "waiting_breaker"));
	if (!waited)
		outcome_timeline(s->outcome, now, "paused", i->wait);
	issue_finish(s);
}

static bool go_elsewhere(struct issue *s)
{
	const char *next = issue_next_authority(s);

	if (s->job->endpoint.config.authority[0] || !next || shut_at(s, next))
		return false;
	LOG(INFO, "authority_changed", LF("endpoint", s->job->id), LF("from", s->authority),
		LF("to", next), LF("why", "orders there pause"));
	issue_change_authority(s, next);
	return true;
}

bool issue_breaker_holds(struct issue *s)
{
	struct endpoint_issuance *i = &s->job->endpoint.issuance;
	const struct breaker_row *row = is_tried_all_the_same(s) ? NULL : shut_at(s, s->authority);

	if (row && !go_elsewhere(s)) {
		pause_for(s, row);
		return true;
	}
	if (i->wait_breaker) {
		i->wait_breaker = false;
		i->wait_ms = 0;
	}
	return false;
}

/* --- what orders tell */

void issue_breaker_passed(struct issue *s)
{
	breaker_passed(s->w->breaker, s->authority, BREAKER_ORDERS);
	for (enum breaker_way way = 0; way < BREAKER_ORDERS; way++)
		if (s->ways & 1u << way)
			breaker_passed(s->w->breaker, s->authority, way);
}

void issue_breaker_published(struct issue *s, enum acme_challenge_type type)
{
	s->ways |= 1u << way_of(type);
}

void issue_breaker_tell(struct issue *s, const struct acme_failure *f)
{
	enum breaker_way way;

	if (s->w->breaker && breaker_way_of(f, &way))
		breaker_failed(s->w->breaker, s->authority, way,
			f->failed_name[0] ? f->failed_name : s->names[0], s->job->id, NULL, NULL);
}

static void on_noted(void *arg, bool shut)
{
	struct issue *s = arg;
	const struct breaker_row *row;
	enum breaker_way way = BREAKER_ORDERS;

	if (!issue_resume(s))
		return;
	breaker_way_of(&s->failure, &way);
	row = shut ? breaker_shut(s->w->breaker, s->authority, way) : NULL;
	if (!row || is_tried_all_the_same(s)) {
		issue_fail_order(s, &s->failure);
		return;
	}
	LOG(INFO, "failure_not_charged", LF("endpoint", s->job->id), LF("code", s->failure.code),
		LF("detail", s->failure.detail));
	if (!s->failure.resumable)
		outcome_set(s->outcome, "o", NULL, 0);
	s->job->endpoint.issuance.failed_ms = clock_wall_ms();
	s->job->endpoint.issuance.ordered_ms = 0;
	pause_for(s, row);
}

bool issue_breaker_judges(struct issue *s, const struct acme_failure *f)
{
	enum breaker_way way;

	if (!s->w->breaker)
		return false;
	if (!breaker_way_of(f, &way)) {
		if (f->class == ACME_OWNER) /* the authority works */
			breaker_passed(s->w->breaker, s->authority, BREAKER_ORDERS);
		return false;
	}
	if (way != BREAKER_ORDERS)
		breaker_passed(s->w->breaker, s->authority, BREAKER_ORDERS);
	s->failure = *f;
	s->failure.rejected = NULL;
	s->failure.n_rejected = 0;
	issue_hold(s);
	breaker_failed(s->w->breaker, s->authority, way,
		f->failed_name[0] ? f->failed_name : s->names[0], s->job->id, on_noted, s);
	return true;
}
