#include "worker/zones.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/jobs/proof_pack.h"
#include "worker/worker.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKE_EVERY_MS 1000
#define GET_EVERY_MS  200
#define PATIENCE_MS   20000 /* a look takes at most a resolver's and a handshake's time, and a line \
			     */
#define ALIVE_MS  5000
#define LOOKS_MAX 32 /* for others at once */
#define KEEP_S    "60"

/* A look for another worker. */
struct lent {
	struct zones *z;
	struct lent *next, **at;
	struct proof_look *look;
	char id[PROOF_ID_SIZE];
};

/* A look by another worker. */
struct zone_look {
	struct zones *z;
	struct zone_look *next, **at; /* at NULL: no more in the list */
	char id[PROOF_ID_SIZE];
	int64_t until_ms; /* monotonic */
	bool asked;       /* it waits there */
	bool in_flight;   /* a reply will still come */
	zone_look_fn *fn; /* NULL: cancelled */
	void *arg;
};

struct zones {
	struct worker *w;
	uv_timer_t take, get;
	struct lent *lent;
	struct zone_look *waiting;
	unsigned lent_n;
	int closing; /* handles whose close callback is still to come, and one for a take */
	bool taking, left, freed;
};

static char *key_of(const struct zones *z, const char *id)
{
	return mem_printf("%slook:%s", redis_prefix(z->w->redis), id);
}

/* --- for others */

static void lent_end(struct lent *l)
{
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->z->lent_n--;
	proof_look_cancel(l->look);
	free(l);
}

static void on_seen(void *arg, const struct served_seen *seen, size_t n)
{
	struct lent *l = arg;
	_buf_release_ struct buf answer = BUF_INIT(PROOF_SEEN_MAX);
	_mem_free_ char *key = key_of(l->z, l->id);

	l->look = NULL;
	if (!proof_seen_encode(seen, n, &answer)) {
		const char *argv[] = {"SET", key, answer.data, "EX", KEEP_S};
		const size_t lens[] = {3, strlen(key), answer.len, 2, strlen(KEEP_S)};

		redis_command(l->z->w->redis, ARRAY_LEN(argv), argv, lens, NULL, NULL);
	}
	lent_end(l);
}

static void lend(struct zones *z, const char *bytes, size_t n)
{
	struct proof_asked asked;
	struct why why = {""};
	struct lent *l;

	if (proof_ask_decode(bytes, n, &asked, &why)) {
		LOG(WARN, "zone_ask_unreadable", LF("why", why.text));
		return;
	}
	l = mem_zalloc(sizeof *l);
	l->z = z;
	memcpy(l->id, asked.id, sizeof l->id);
	l->next = z->lent;
	l->at = &z->lent;
	if (l->next)
		l->next->at = &l->next;
	z->lent = l;
	z->lent_n++;
	l->look = proof_look_start(z->w, &asked.ask, on_seen, l);
	proof_asked_release(&asked);
}

static void free_if_over(struct zones *z)
{
	if (z->freed && !z->closing && !z->taking)
		free(z);
}

static void on_taken(void *arg, int err, const struct reply *reply)
{
	struct zones *z = arg;

	z->taking = false;
	for (size_t i = 0; !err && !z->freed && i < reply_len(reply); i++) {
		size_t n = 0;
		const char *bytes = reply_str(reply_at(reply, i), &n);

		if (bytes)
			lend(z, bytes, n);
	}
	free_if_over(z);
}

/* Each second, so that the others know that somebody is here; and at once when something waits. */
static void take(struct zones *z)
{
	const char *zone = z->w->config->worker.zone;
	bool leave = z->w->draining;
	char most[16], patience[16];

	if (z->taking || z->left || !redis_is_up(z->w->redis) || (!leave && z->lent_n >= LOOKS_MAX))
		return;
	z->taking = true;
	z->left = leave;
	snprintf(most, sizeof most, "%u", leave ? 0 : LOOKS_MAX - z->lent_n);
	snprintf(patience, sizeof patience, "%d", PATIENCE_MS);
	const char *argv[] = {zone, z->w->name, most, patience};

	redis_script(z->w->redis, "zone_take", ARRAY_LEN(argv), argv, NULL, on_taken, z);
}

static void on_take(uv_timer_t *t)
{
	take(t->data);
}

static void on_wake(void *arg, const char *channel, const char *text, size_t len)
{
	(void)channel;
	(void)text;
	(void)len;
	take(arg);
}

/* --- by others */

static void unlist(struct zone_look *l)
{
	if (!l->at)
		return;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->at = NULL;
	l->next = NULL;
	if (!l->z->waiting)
		uv_timer_stop(&l->z->get);
}

void zone_look_cancel(struct zone_look *l)
{
	if (!l)
		return;
	unlist(l);
	l->fn = NULL;
	if (!l->in_flight)
		free(l);
}

static void end(struct zone_look *l, const char *why, const struct served_seen *seen, size_t n)
{
	zone_look_fn *fn = l->fn;
	void *arg = l->arg;

	zone_look_cancel(l);
	fn(arg, why, seen, n);
}

/* Its callback has come: false when nobody waits for it any more. */
static bool back(struct zone_look *l)
{
	l->in_flight = false;
	if (l->fn)
		return true;
	free(l);
	return false;
}

static void on_got(void *arg, int err, const struct reply *reply)
{
	struct zone_look *l = arg;
	_mem_free_ struct served_seen *seen = NULL;
	struct why why = {""};
	size_t len = 0, n = 0;
	const char *bytes = err ? NULL : reply_str(reply, &len);

	if (!back(l))
		return;
	if (!bytes) {
		if (clock_mono_ms() >= l->until_ms)
			end(l, "no_answer", NULL, 0);
		return;
	}
	if (proof_seen_decode(bytes, len, &seen, &n, &why)) {
		LOG(WARN, "zone_answer_unreadable", LF("why", why.text));
		end(l, "no_answer", NULL, 0);
		return;
	}
	end(l, NULL, seen, n);
}

static void on_get(uv_timer_t *t)
{
	struct zones *z = t->data;

	for (struct zone_look *l = z->waiting; l; l = l->next) {
		_mem_free_ char *key = key_of(z, l->id);

		if (l->in_flight || !l->asked)
			continue;
		l->in_flight = true;
		redis_commandv(z->w->redis, on_got, l, "GETDEL", key, NULL);
	}
}

static void on_asked(void *arg, int err, const struct reply *reply)
{
	struct zone_look *l = arg;

	if (!back(l))
		return;
	l->asked = true;
	if (err || reply_int(reply) < 0)
		end(l, "no_answer", NULL, 0);
	else if (!reply_int(reply))
		end(l, "no_worker", NULL, 0);
}

static void make_id(char id[PROOF_ID_SIZE])
{
	unsigned char bytes[(PROOF_ID_SIZE - 1) / 2];

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		abort();
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

struct zone_look *zones_look(
	struct zones *z, const char *zone, const struct proof_ask *ask, zone_look_fn *fn, void *arg)
{
	struct zone_look *l = mem_zalloc(sizeof *l);
	_buf_release_ struct buf bytes = BUF_INIT(PROOF_ASK_MAX);
	char alive[16];

	l->z = z;
	l->fn = fn;
	l->arg = arg;
	l->until_ms = clock_mono_ms() + PATIENCE_MS;
	l->next = z->waiting;
	l->at = &z->waiting;
	if (l->next)
		l->next->at = &l->next;
	z->waiting = l;
	make_id(l->id);
	proof_ask_encode(l->id, ask, &bytes);
	snprintf(alive, sizeof alive, "%d", ALIVE_MS);
	const char *argv[] = {zone, bytes.data, alive};
	const size_t lens[] = {strlen(zone), bytes.len, strlen(alive)};

	l->in_flight = true;
	redis_script(z->w->redis, "zone_ask", ARRAY_LEN(argv), argv, lens, on_asked, l);
	if (!uv_is_active((uv_handle_t *)&z->get))
		uv_timer_start(&z->get, on_get, GET_EVERY_MS, GET_EVERY_MS);
	return l;
}

/* --- life */

struct zones *zones_new(struct worker *w)
{
	struct zones *z = mem_zalloc(sizeof *z);

	z->w = w;
	uv_timer_init(&w->loop, &z->take);
	uv_timer_init(&w->loop, &z->get);
	z->take.data = z->get.data = z;
	if (w->config->worker.zone) {
		_mem_free_ char *channel =
			mem_printf("%szone:%s", redis_prefix(w->redis), w->config->worker.zone);

		redis_subscribe(w->redis, channel, on_wake, z);
		uv_timer_start(&z->take, on_take, 0, TAKE_EVERY_MS);
	}
	return z;
}

static void on_closed(uv_handle_t *h)
{
	struct zones *z = h->data;

	z->closing--;
	free_if_over(z);
}

void zones_free(struct zones *z)
{
	if (!z)
		return;
	z->freed = true;
	while (z->lent)
		lent_end(z->lent);
	z->closing = 2;
	uv_close((uv_handle_t *)&z->take, on_closed);
	uv_close((uv_handle_t *)&z->get, on_closed);
}
