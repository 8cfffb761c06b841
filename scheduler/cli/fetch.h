/* fetch.h - reads endpoints from Redis, one, several, or all in pages, without ever blocking Redis
 * for long. */
#pragma once

#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"

/** What is read beside the endpoint itself. */
enum fetch_more {
	FETCH_PLAIN = 0,
	FETCH_RECORDS = 1 << 0,  /* the records to create: needs the label key */
	FETCH_TIMELINE = 1 << 1, /* field t */
	FETCH_ISSUER = 1 << 2,
};

/** CF_ENOTFOUND, CF_ECONN, CF_EREDIS, CF_EPROTO, CF_EVERSION. Release *out on success. */
int fetch_endpoint(
	struct cli *cli, const char *id, unsigned more, struct facts *out, struct why *why);
/** The same; on failure says so and returns the exit status. An unknown id is answered with similar
 * ones. */
int fetch_or_fail(struct cli *cli, const char *id, unsigned more, struct facts *out);

/** Called for each endpoint, which is borrowed; anything but 0 ends it and is returned. */
typedef int fetch_fn(void *arg, struct facts *f);
/** All endpoints in the order of their ids, beginning with the prefix (""; all). One that cannot be
 * read is told on standard error and left out. */
int fetch_each(struct cli *cli, const char *prefix, unsigned more, fetch_fn *fn, void *arg,
	struct why *why);
/** The endpoints named; those that are gone are left out. */
int fetch_ids(struct cli *cli, const char *const *ids, size_t n, unsigned more, fetch_fn *fn,
	void *arg, struct why *why);

/** Says that an id is unknown and which similar ones there are; CLI_FAILED. */
int fetch_fail_unknown(struct cli *cli, const char *id);
/** An id that can be one at all: [a-z0-9][a-z0-9._-]*. */
bool fetch_id_ok(const char *id);
/** Appends prefix and suffix to text: "cf:{FLEET}:e:shop". */
void fetch_key(const struct cli *cli, struct buf *out, const char *kind, const char *suffix);
/** Fills f's records if the label key can be read, else says why in f->no_records. */
void fetch_records(struct cli *cli, struct facts *f);
