/* fleet_aid.h - a fleet in a private Redis, with endpoints made by hand, and the command line run
 * on it in this process. */
#pragma once

#include "common/endpoint.h"
#include "common/redis_sync.h"
#include "tests/unit/support/redis_server.h"

#include <openssl/x509.h>

struct fleet_aid {
	struct redis_server *server;
	struct redis_options options;
	struct redis_sync *redis;
	char *folder, *config;
	/* What the last run said. */
	char *out, *err;
};

struct fleet_aid *fleet_aid_new(void);
void fleet_aid_free(struct fleet_aid *f);
/** Runs `certfleet -c CONFIG ARGS…` (NULL-ended) and gives its exit status. */
int fleet_aid_run(struct fleet_aid *f, ...) __attribute__((sentinel));
/** Any Redis command, NULL-ended, "@KEY" standing for a key of the fleet; asserts that it works. */
void fleet_aid_redis(struct fleet_aid *f, ...) __attribute__((sentinel));
/** HSET of one field with bytes. */
void fleet_aid_field(
	struct fleet_aid *f, const char *id, const char *field, const void *bytes, size_t n);
/** An internal endpoint of one name (its id), generation 1, indexed. */
void fleet_aid_endpoint(struct fleet_aid *f, const char *id, const char *tenant);
/** A certificate with a sealed key and one intermediate, valid from not_before_ms for 90 days; key
 * NULL: a new one that fits. */
void fleet_aid_certificate(struct fleet_aid *f, const char *id, const char *serial_hex,
	int64_t not_before_ms, EVP_PKEY *other_key);
/** Text of a file in the folder; "" if it is not there. free() it. */
char *fleet_aid_read(struct fleet_aid *f, const char *name);

/** cmocka's fixture: a fleet a test, in *state. */
int fleet_aid_setup(void **state);
int fleet_aid_teardown(void **state);
/** The part is in the text, or the test fails and shows it. */
void fleet_aid_contains(const char *text, const char *part);
#define FLEET_RUN(...) fleet_aid_run(f, __VA_ARGS__, NULL)
