/* survey_internal.h - the parts of the survey, shared by survey*.c only.
 *
 *	survey.c         looks and their questions: which zone, which servers, what they said
 *	survey_zone.c    what is learned about a zone beyond its delegation
 *	survey_cache.c   zones by name, the least recently used ones leave
 *	survey_ask.c     a question to one address, and one to any server of a zone
 *
 * Zones and budgets are counted, since work on a zone is shared by looks and outlives the one that
 * began it. Callbacks never come from within the call that began the work.
 */
#pragma once

#include "worker/dns/delegation.h"
#include "worker/dns/gate.h"
#include "worker/dns/list.h"
#include "worker/dns/survey.h"

#define SURVEY_TTL_LEAST_MS 1000
#define SURVEY_TTL_HALF_MS  10000   /* of what could not be learned whole */
#define SURVEY_TTL_MOST_MS  3600000 /* what is delegated anew is seen within the hour */

struct survey_cache;
struct zone_work;

/* --- a budget of questions */

struct budget {
	unsigned refs, left;
};

struct budget *budget_keep(struct budget *b);
void budget_drop(struct budget *b);

/* --- zones */

enum zone_stage {
	ZONE_NEW,      /* as the referral gave it */
	ZONE_READY,    /* every name server without glue was looked up */
	ZONE_DETAILED, /* NS and keys of the zone itself, DS at its parent */
};

struct zone_ns {
	char *name;
	struct addr *addresses;
	size_t n;
	struct addr own[DELEGATION_ADDRESSES_MAX]; /* what the zone itself says of it */
	size_t n_own;
	bool at_parent, in_zone, glue;
	bool asked_a, asked_aaaa; /* definite answers came */
	bool asked_own_a, asked_own_aaaa;
	bool dangling, glue_differs;
};

struct zone {
	unsigned refs;
	struct zone *next; /* in its bucket */
	struct list lru;
	bool cached;
	struct zone *parent; /* counted; NULL for the root */
	enum zone_stage stage;
	struct zone_work *work; /* towards the next stage */
	struct list waiters;    /* struct task.wait, for the next stage */
	struct list scouts;     /* struct scout.link, under way */
	struct zone_ns *ns;
	size_t n_ns;
	enum fact_ds ds;
	bool signed_, ds_matches, lame, hidden;
	bool heard;     /* one of its servers answered */
	bool delegates; /* so one server is asked first */
	int64_t expires_ms;
	uint64_t number; /* of the walk that found it: they are counted */
	uint32_t ttl_s;
	uint32_t hash;
	char apex[];
};

/** A zone with one reference. */
struct zone *zone_new(const char *apex);
struct zone *zone_keep(struct zone *z);
void zone_drop(struct zone *z);
struct zone_ns *zone_add_ns(struct zone *z, const char *name);
/** port is set; the same host twice is one, and over DELEGATION_ADDRESSES_MAX is dropped. */
void zone_ns_add(struct zone_ns *ns, const struct addr *a, uint16_t port);
/** The addresses of all name servers, one of each in turn, no host twice; n is at most max. */
struct zone_server {
	const char *name;
	struct addr addr;
};
size_t zone_servers(const struct zone *z, size_t max_ns, struct zone_server *out, size_t max);

struct survey_cache *survey_cache_new(size_t max);
void survey_cache_free(struct survey_cache *c);
/** Takes the place of one with the same apex. Keeps a reference of its own. */
void survey_cache_put(struct survey_cache *c, struct zone *z);
/** The deepest zone above name (or at it) that is not stale; those below a top-level domain only if
 * their walk is not older than that number. Borrowed; NULL: none. */
struct zone *survey_cache_find(
	struct survey_cache *c, const char *name, int64_t now_ms, uint64_t not_before);
size_t survey_cache_n(const struct survey_cache *c);

/* --- survey.c */

struct survey {
	uv_loop_t *loop;
	struct dns_exchanger *x;
	struct resolver *resolver;
	bool (*allowed)(void *arg, const struct addr *a);
	void *arg;
	bool ipv6;
	int64_t heard_ipv6_ms;
	uint16_t port;
	int64_t try_ms;
	struct gate *gate;
	struct zone *root; /* never in the cache */
	struct survey_cache *cache;
	struct list work;   /* struct zone_work.link */
	struct list scouts; /* struct scout.all */
	uint64_t random, walks;
};

int64_t survey_now(const struct survey *s);
uint32_t survey_random(struct survey *s);

/* --- survey_task.c */

/* One server's answer. */
struct slot {
	struct task *task;
	struct query *query;
	struct zone_server server; /* its name is the zone's */
	struct dns_result *result; /* NULL: end says why */
	enum fact_end end;
};

/* One question of a look. */
struct task {
	struct survey_look *look;
	struct list wait;  /* in a zone's or a scout's waiters */
	struct ask ask;    /* owner: the bag's */
	struct zone *zone; /* counted; the deepest so far */
	struct resolver_query *query;
	struct slot *slots;
	size_t n, pending;
	enum fact_end stop; /* of the walk; RECORDS: the zone was found */
	unsigned descents;
	bool scouted; /* the zone is known to be the one */
	bool mine;    /* the scout under way asks this task's own question */
	bool alone;   /* somebody else's scout was no help */
	bool over;
};

struct look_zone {
	struct zone *zone; /* counted */
	struct fact_zone *fact;
	enum fact_end end;
};

struct survey_look {
	struct survey *s;
	struct facts *facts;
	struct budget *budget;
	size_t servers, addresses;
	uint64_t not_before; /* walks since that number are believed */
	int64_t deadline_ms;
	uv_timer_t timer; /* the deadline; or at once, when there is nothing to wait for */
	struct task *tasks;
	size_t n, pending;
	bool busy; /* the end is looked for by who made it so */
	survey_done_fn *done;
	void *arg;
	struct look_zone *zones; /* that facts speak of */
	size_t n_zones;
};

void task_start(struct task *t);
/** Ends it with what there is. Harmless when it is over. */
void task_finish(struct task *t);
/** Cancels what is under way and frees what it holds. */
void task_release(struct task *t);
/** One task less. */
void look_task_over(struct survey_look *l);
/** Wakes all who wait for the zone. */
void survey_wake(struct zone *z);
/** All that are under way; nobody is woken. */
void scouts_cancel(struct survey *s);

/* --- survey_fact.c */

void task_to_fact(struct task *t);

/* --- survey_ask.c */

enum query_refusal { QUERY_ASKED, QUERY_UNSAFE, QUERY_SKIPPED };

struct query;
/** NULL when it is refused; then *why says it. name is borrowed until done. */
struct query *query_start(struct survey *s, struct budget *budget, const struct addr *server,
	const char *name, uint16_t type, dns_result_fn *done, void *arg, enum query_refusal *why);
/** NULL is a no-op. */
void query_cancel(struct query *q);

/* One of a zone's servers is asked; when that brings nothing, all the others at once. */
struct any_query;
/** kind: what the answer says of the zone; r: NULL if nobody could be asked. starved: for want of
 * budget. */
typedef void any_fn(void *arg, enum delegation_kind kind, const struct dns_result *r,
	const struct delegation *cut, bool starved);
/** Keeps zone and budget; name is copied. Never NULL. */
struct any_query *any_start(struct survey *s, struct budget *budget, struct zone *zone,
	const char *name, uint16_t type, any_fn *done, void *arg);
/** NULL is a no-op. */
void any_cancel(struct any_query *a);

/* --- survey_zone.c */

/** True if it is there. Else the work for the next stage is under way afterwards, and wakes those
 * who wait; not when the budget is spent already (z->work is NULL then). */
bool zone_reach(struct survey *s, struct budget *budget, struct zone *z, enum zone_stage stage);
/** Gives up all that is under way; nobody is woken. */
void works_cancel(struct survey *s);
/** What the referral says, as a zone below parent; one reference. */
struct zone *zone_from_cut(struct survey *s, struct zone *parent, const struct delegation *cut);
