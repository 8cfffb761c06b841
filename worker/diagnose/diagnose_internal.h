/* diagnose_internal.h - one case being looked at, shared by worker/diagnose/ only. */
#pragma once

#include "common/label.h"
#include "worker/diagnose/diagnose.h"

struct provider;

/* Names where a record may have been put by error. */
#define STRAYS_MAX 8

/** CNAMEs followed from a name at the resolver. */
struct chain {
	enum fact_end end; /* of the last question; RECORDS while a question is missing */
	const char *hops[DIAGNOSE_HOPS_MAX];
	size_t n;
	uint32_t ttl_s;      /* of the first */
	bool loop, too_long; /* more than DIAGNOSE_HOPS_MAX */
	bool reached;        /* the last hop is what was looked for */
	bool open;           /* a question is missing */
};

/** What a record was seen to be. */
enum seen { SEEN_UNKNOWN, SEEN_RIGHT, SEEN_MISSING, SEEN_WRONG };

/** What the authoritative servers say of one record, taken together. */
struct tally {
	const struct fact *fact; /* NULL: they were not asked */
	size_t said[4];          /* by enum seen */
	size_t n;                /* said anything */
	size_t silent, lame, tcp, broken;
	bool alike;   /* all that said anything said the same */
	bool certain; /* alike, and each one said it */
	enum seen seen;
	const struct fact_answer *sample; /* of what they said; NULL: nobody said anything */
};

struct view {
	const struct diagnose_case *c;
	struct facts *f;
	struct ask *asks; /* what is missing goes here; NULL while judging */
	size_t asks_n;
	const char *base;   /* the name without "*." */
	const char *owner;  /* "_acme-challenge.BASE" */
	const char *random; /* a name below base that nobody made */
	char label[LABEL_SIZE];
	const char *wanted; /* the label in the first zone */
	bool external;
	struct chain challenge, traffic;
	enum seen challenge_seen, traffic_seen; /* at the resolver */
	struct tally challenge_tally, traffic_tally;
};

void view_init(struct view *v, const struct diagnose_case *c, struct facts *f);
/** A fact, or NULL: then it is asked for, if questions are collected. */
const struct fact *view_need(struct view *v, enum ask_how how, uint16_t type, const char *owner);
/** The resolver's answer, or NULL. */
const struct fact_answer *view_answer(struct view *v, uint16_t type, const char *owner);
/** The zone that the name lies in by public delegation; NULL if it is not known. */
const struct fact_zone *view_zone(const struct view *v);
const char *view_text(struct view *v, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void put_look(
	struct record_look *l, enum record_status status, const char *code, const char *observed);

/* chain.c: what was seen */

/** Follows from owner until a hop fits, or it ends. */
void chain_follow(struct view *v, const char *owner,
	bool (*fits)(const struct view *v, const char *hop), struct chain *out);
/** One of our labels for this name. Which zone: view_label_zone(). */
bool chain_fits_challenge(const struct view *v, const char *hop);
bool chain_fits_target(const struct view *v, const char *hop);
/** Index of the challenge zone in which the name is our label; -1: in none. */
int view_label_zone(const struct view *v, const char *name);
bool view_in_our_zones(const struct view *v, const char *name);
/** What the resolver's answers say of the two records. */
void view_look_challenge(struct view *v);
void view_look_traffic(struct view *v);
/** What the servers say. */
void view_tally_challenge(struct view *v);
void view_tally_traffic(struct view *v);
/** The resolver could not say: a failure of any kind. */
bool end_is_failure(enum fact_end end);
/** The owner does not have it, by the answer. */
bool end_is_missing(enum fact_end end);

/* addresses.c */
struct addresses {
	enum fact_end end;   /* RECORDS if there is any */
	size_t n, ours;      /* A and AAAA; and those that are the target's */
	size_t n6, ours6;    /* of these, AAAA */
	bool target_unknown; /* the target's own addresses could not be read */
	bool target_missing; /* it has none */
	const char *cdn;     /* all foreign ones are this CDN's, or a CNAME leads there */
	bool open;
};
void view_addresses(struct view *v, struct addresses *out);

/* strays.c: what tells findings apart */

struct stray {
	const char *code; /* NULL: none was found */
	const char *owner;
	const struct fact_answer *answer;
};
/** Asks, or says, where else the challenge record may be. */
void view_strays(struct view *v, struct stray *out);
/** A wildcard above answers at _acme-challenge itself. */
bool view_wildcard_answers(struct view *v);
/** The base name has its addresses off a wildcard, and no records of its own. */
bool view_lives_off_wildcard(struct view *v);

/* caa.c */
void view_caa(struct view *v);
void judge_caa(struct view *v, struct diagnose_result *out);

/* judge_challenge.c, judge_traffic.c, judge_servers.c */
void judge_challenge(struct view *v, struct diagnose_result *out);
void judge_traffic(struct view *v, struct diagnose_result *out);
/** The health of the zone's servers; true if it explains that nothing was seen. */
bool judge_servers(struct view *v, struct diagnose_result *out);
/** It was us: the resolver fails while the servers answer, or nothing answers at all. */
bool view_blind(const struct view *v);
/** The resolver gave no answer at all: whose fault that is, is not known yet. */
bool view_unanswered(const struct view *v);

/* fix.c */

/** A new diagnosis of this name in out, or NULL if there is no more room. */
struct diagnosis *add_diagnosis(struct view *v, struct diagnose_result *out, const char *code);
/** Its record, what is expected, and what each server said (the servers', else the resolver's). */
void put_record(struct view *v, struct diagnosis *d, const char *owner, const char *type,
	const char *expected);
void put_observed(struct view *v, struct diagnosis *d, uint16_t type, const char *owner);
void observe_answer(struct diagnosis *d, const struct fact_answer *a, uint16_t type);
/** Adds a line to the fix. */
void fix_line(struct diagnosis *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The lines that create a CNAME where nothing is, in the provider's words. */
void fix_create(struct view *v, struct diagnosis *d, const char *owner, const char *target);
/** The lines that change one. */
void fix_change(struct view *v, struct diagnosis *d, const char *owner, const char *target,
	const char *from);
/** The traffic record, as it can be at this name: a CNAME, or at an apex what the provider has. */
void fix_traffic(struct view *v, struct diagnosis *d);
bool view_is_apex(const struct view *v, const char *name);
/** What stops working when, if this is what all hangs on. */
void put_effect(const struct view *v, struct diagnosis *d, bool all_hangs_on_it);
