/* authority_internal.h - what authority.c, account.c and post.c share; for nobody else. */
#pragma once

#include "worker/acme/authority.h"
#include "worker/acme/ca_clock.h"
#include "worker/acme/nonces.h"
#include "worker/acme/steps_internal.h"

enum authority_state {
	AUTHORITY_IDLE,
	AUTHORITY_DIRECTORY, /* a fetch or a pause before the next is under way */
	AUTHORITY_ACCOUNT,   /* account.c walks */
	AUTHORITY_READY,
};

/* newNonce requests at once: it is rate limited more tightly than anything else. */
#define HEADS_MAX 8

struct post_list {
	struct authority_post *first, *last;
	unsigned n;
};

struct acme_authority {
	uv_loop_t *loop;
	/* options, owned */
	char *name, *directory_url, *profile, *eab_kid;
	char **contacts;
	size_t n_contacts;
	unsigned char *eab_hmac;
	size_t eab_hmac_len;
	bool tos_agreed, allow_http;
	enum key_type account_key_type;
	unsigned max_requests;
	int64_t timeout_ms;
	struct acme_store store;
	void *store_arg;

	struct http_client *http;
	enum authority_state state;
	struct authority_waiter *waiters, *waiters_last;
	unsigned round;   /* of telling them */
	uv_timer_t timer; /* pauses of the walk */
	uv_idle_t soon;   /* tells waiters that need not wait */
	struct walk walk;
	uint32_t seed;
	struct http_request *fetch;
	struct ca_clock clock;

	struct ca_directory directory;
	bool have_directory;
	int64_t directory_mono_ms;

	/* account.c */
	struct jws_key *key;
	char *account_url;
	char *lost_url; /* the CA said that it does not exist */
	unsigned epoch;
	bool locked, try_existing;
	unsigned busy; /* how often the lock was somebody else's */
	struct authority_post *new_account;
	struct acme_failure *outcome; /* told after the unlock; NULL: all is well */

	/* post.c */
	struct nonces nonces;
	struct post_list waiting, live;
	struct head {
		struct acme_authority *authority;
		struct http_request *request; /* NULL: free */
	} heads[HEADS_MAX];

	struct acme_call *calls;
	unsigned refs; /* store hooks and handles that still know us, and one for the owner */
	bool freed;
};

/* authority.c */
/** Every answer shows its clock. */
void authority_note_clock(struct acme_authority *a, const struct http_answer *answer);
void authority_unref(struct acme_authority *a);
/** Ends the walk: all who wait are told. failure NULL: ready. */
void authority_settle(struct acme_authority *a, const struct acme_failure *failure);
/** Somebody needs an account: makes sure that the walk is under way if there is none. */
void authority_nudge(struct acme_authority *a);
/** Calls fn after ms. */
void authority_pause(struct acme_authority *a, int64_t ms, uv_timer_cb fn);

/* account.c */
void account_start(struct acme_authority *a);
void account_release(struct acme_authority *a);

/* post.c */
/** A POST with the key itself instead of the account's URL (newAccount). */
struct authority_post *post_by_key(
	struct acme_authority *a, const struct authority_call *call, http_fn *fn, void *arg);
void post_pump(struct acme_authority *a);
/** There is no account for those that wait: each is told why, and may ask again. */
void post_fail_waiting(struct acme_authority *a, const struct acme_failure *f);
void post_cancel_all(struct acme_authority *a);
