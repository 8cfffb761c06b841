/* world.h - a private Redis, a loop with the scheduler's connections on it, and a blocking one for
 * the test to look with. */
#pragma once

#include "common/buf.h"
#include "common/redis.h"
#include "common/redis_sync.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"

#define SOON_MS 8000

struct world {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options options;
	struct redis *redis, *block;
	struct redis_sync *sync;
	int ups;
};

/** Comes back when both connections are up. */
void world_start(struct world *w);
/** Frees the connections (callbacks get CF_ECANCELED) and turns the loop until it is empty. Whoever
 * has handles closes them before. */
void world_finish(struct world *w);

/** Runs a command and gives its reply, which lives until the next; "KEY" arguments that begin with
 * "@" get the fleet's prefix. Fails the test on an error. */
const struct reply *world_ask(struct world *w, const char *first, ...) __attribute__((sentinel));
int64_t world_ask_int(struct world *w, const char *first, const char *key);
/** Appends "id=shop names=a.example.com,b.example.com type=external" as a msgpack map. */
void world_pack(const char *words, struct buf *out);
/** XADD requests. */
void world_request(struct world *w, const char *id, const char *type, const char *words);
/** "done" or "refused/CODE" as answered to world_request(), "" if it is not. Static storage. */
const char *world_answer(struct world *w, const char *id);
/** How many entries of a stream are of a type. */
int world_count_events(struct world *w, const char *stream, const char *type);
