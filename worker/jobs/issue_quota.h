/* issue_quota.h - which of an authority's limits an order touches: functions of values.
 *
 * As Let's Encrypt counts: an order spends of the new orders of the account, of the certificates of
 * each registered domain, and of the certificates for exactly these names; a renewal of the same
 * names within 120 days spends of the last only, one that the authority asked for (RFC 9773, inside
 * its window) of none. Names for which validations failed too often are only looked at here: a
 * failure is charged when it happens. A tenth of the new orders is kept for renewals: others see a
 * smaller burst on the same bucket.
 */
#pragma once

#include "common/config.h"
#include "common/endpoint.h"
#include "common/queue_quota.h"
#include "worker/acme/acme.h"

enum quota_limit { LIMIT_NEW_ORDERS, LIMIT_DOMAIN, LIMIT_DUPLICATES, LIMIT_FAILED };

/** What an order is, for the ledger. Everything is borrowed. */
struct quota_order {
	const char *authority;
	const struct config_limits *limits;
	const char *const *names;
	size_t names_n;
	bool renewal;  /* the whole burst, and ahead of others */
	bool same_set; /* a renewal of the same names, as CAs count them */
	bool ari;      /* inside the window that the CA suggests, with `replaces` */
};

struct quota_touch {
	enum quota_limit limit;
	const struct config_rate *rate; /* borrowed from the limits */
	const char
		*subject; /* a registered domain or a name, borrowed from the order's names; "" */
	struct quota_item item; /* its key is owned */
};

/** Sets same_set and ari by what the endpoint has. left_out: the order has not all of its names. */
void issue_quota_exempt(struct quota_order *o, const struct endpoint *e, bool replaces,
	bool left_out, int64_t now_ms);
/** The limits that the order touches: NULL and *n 0 if the config sets none of them. Owned. */
struct quota_touch *issue_quota_items(const struct quota_order *o, size_t *n);
void issue_quota_items_free(struct quota_touch *touches, size_t n);
/** The limit that the CA's rateLimited answer is about; NULL if that cannot be told, or it is not
 * among these. */
const struct quota_touch *issue_quota_blamed(
	const struct quota_touch *touches, size_t n, const char *detail);
/** "ca allows 300 new orders in 3h": for people. */
void issue_quota_text(const struct quota_touch *t, const char *authority, char *out, size_t size);
/** The bucket of the limit as a whole, for one more of it. Its key is borrowed from t. */
struct quota_item issue_quota_whole(const struct quota_touch *t);
