/* breaker_internal.h - shared by breaker*.c only. */
#pragma once

#include "common/label.h"
#include "worker/breaker.h"

#include <uv.h>

/* An order for the canary. */
struct canary {
	struct breaker *b; /* NULL: nobody waits for it any more */
	struct acme_order *order;
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	enum breaker_way way;
	bool asked;    /* it was validated by a challenge, not by an earlier authorization */
	bool again;    /* for it was not: those were deactivated, and it is ordered anew */
	bool valid;    /* all authorizations are */
	unsigned left; /* answers that will still come */
	char why[600];
};

struct breaker {
	struct worker *w;
	uv_timer_t timer;
	struct breaker_row rows[BREAKER_ROWS_MAX];
	size_t n;
	int64_t skew_ms; /* of Redis' clock from ours */
	bool looking, draining, closing, closed;
	bool trying;       /* a turn is asked for, or a canary under way */
	unsigned way_next; /* ways before this one had their chance in this round */
	unsigned looks;    /* rounds */
	struct canary *canary;
	unsigned pending; /* answers of Redis that will still come */
};

/** breaker_canary.c: the order; canary_over() follows, unless the breaker goes before. */
void canary_start(struct breaker *b, const char *authority, enum breaker_way way);
/** Cancelled; nothing follows. NULL is a no-op. */
void canary_cancel(struct canary *c);
/** breaker.c */
void canary_over(struct breaker *b, const struct canary *c);
