/* The engine against a real CA: Pebble with bad nonces and reused authorizations, hooks in memory.
 */
#include "worker/acme/steps.h"

#include "tests/unit/support/loop.h"
#include "tests/unit/worker/acme/pebble.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { WATCHDOG_MS = 60000, ORDERS = 50, DEFERRED_MAX = 4096 };

/* --- a store and hooks in memory; every done comes in a later turn of the loop --- */

struct deferred {
	acme_done_fn *done;
	void *done_arg;
	int err;
};

struct world {
	uv_loop_t loop;
	uv_idle_t idle;
	struct acme_authority *authority;
	struct deferred deferred[DEFERRED_MAX];
	size_t n_deferred;
	/* the account */
	char *account_url;
	unsigned char key[512];
	size_t key_len;
	int locks, saves;
	bool locked;
	/* loading */
	acme_account_fn *load_done;
	void *load_arg;
};

static struct pebble pebble;

static void on_idle(uv_idle_t *idle)
{
	struct world *w = idle->data;
	struct deferred batch[64];
	size_t n = w->n_deferred < 64 ? w->n_deferred : 64;

	memcpy(batch, w->deferred, n * sizeof(batch[0]));
	memmove(w->deferred, w->deferred + n, (w->n_deferred - n) * sizeof(batch[0]));
	w->n_deferred -= n;
	if (!w->n_deferred && !w->load_done)
		uv_idle_stop(idle);
	if (w->load_done) {
		acme_account_fn *done = mem_steal(w->load_done);
		struct acme_account a = {
			.url = w->account_url, .key = w->key, .key_len = w->key_len};

		done(w->load_arg, w->key_len ? 0 : CF_ENOTFOUND, w->key_len ? &a : NULL);
	}
	for (size_t i = 0; i < n; i++)
		batch[i].done(batch[i].done_arg, batch[i].err);
}

static void defer(struct world *w, acme_done_fn *done, void *done_arg, int err)
{
	assert_true(w->n_deferred < DEFERRED_MAX);
	w->deferred[w->n_deferred++] = (struct deferred){done, done_arg, err};
	uv_idle_start(&w->idle, on_idle);
}

static void store_load(void *arg, const char *authority, acme_account_fn *done, void *done_arg)
{
	struct world *w = arg;

	(void)authority;
	w->load_done = done;
	w->load_arg = done_arg;
	uv_idle_start(&w->idle, on_idle);
}

static void store_lock(void *arg, const char *authority, acme_done_fn *done, void *done_arg)
{
	struct world *w = arg;

	(void)authority;
	assert_false(w->locked);
	w->locked = true;
	w->locks++;
	defer(w, done, done_arg, 0);
}

static void store_save(void *arg, const char *authority, const struct acme_account *account,
	acme_done_fn *done, void *done_arg)
{
	struct world *w = arg;

	(void)authority;
	assert_true(w->locked);
	free(w->account_url);
	w->account_url = mem_strdup_opt(account->url);
	memcpy(w->key, account->key, account->key_len);
	w->key_len = account->key_len;
	w->saves++;
	defer(w, done, done_arg, 0);
}

static void store_unlock(void *arg, const char *authority, acme_done_fn *done, void *done_arg)
{
	struct world *w = arg;

	(void)authority;
	w->locked = false;
	defer(w, done, done_arg, 0);
}

static const struct acme_store store = {store_load, store_lock, store_save, store_unlock};

/* --- one order of the test --- */

struct job {
	struct world *w;
	struct acme_order *order;
	char names[3][64];
	size_t n_names;
	enum key_type key_type;
	char *replaces;
	const char *stop_at; /* step at which it is cancelled and resumed */
	bool stop_now, stopped;
	/* checkpoint, as a store would keep it */
	bool have_checkpoint, barrier;
	char *order_url;
	unsigned char key[4096];
	size_t key_len;
	unsigned char names_hash[32];
	int published, visible, unpublished, barriers;
	char txt[4][64];
	/* what came */
	bool over, ok, replaced;
	unsigned placed;
	size_t n_authz;
	char authz_url[256];
	char code[48];
	enum acme_class class;
	char rejected[256];
	struct chain chain;
	struct cert_info info;
};

static void hook_checkpoint(void *arg, const struct acme_checkpoint *c, bool barrier,
	acme_done_fn *done, void *done_arg)
{
	struct job *j = arg;

	assert_int_equal(c->version, ACME_CHECKPOINT_VERSION);
	j->have_checkpoint = true;
	free(j->order_url);
	j->order_url = mem_strdup_opt(c->order_url);
	assert_true(c->key_len <= sizeof(j->key));
	memcpy(j->key, c->key, c->key_len);
	j->key_len = c->key_len;
	memcpy(j->names_hash, c->names_hash, 32);
	j->barriers += barrier;
	defer(j->w, done, done_arg, 0);
}

static void hook_publish(
	void *arg, const struct acme_challenge *c, acme_done_fn *done, void *done_arg)
{
	struct job *j = arg;

	assert_true(strchr(c->name, '*') == NULL);
	if (c->type == ACME_DNS_01) {
		assert_int_equal(strlen(c->txt), 43);
		snprintf(j->txt[j->published % 4], 64, "%s", c->txt);
	}
	assert_true(str_starts_with(c->key_authorization, c->token));
	j->published++;
	defer(j->w, done, done_arg, 0);
}

static void hook_visible(
	void *arg, const struct acme_challenge *c, acme_done_fn *done, void *done_arg)
{
	struct job *j = arg;

	(void)c;
	j->visible++;
	defer(j->w, done, done_arg, j->visible == 1 ? CF_EAGAIN : 0);
}

static void hook_unpublish(
	void *arg, const struct acme_challenge *c, acme_done_fn *done, void *done_arg)
{
	struct job *j = arg;

	(void)c;
	j->unpublished++;
	defer(j->w, done, done_arg, 0);
}

static void hook_progress(void *arg, const char *step, const char *sentence, int64_t since)
{
	struct job *j = arg;

	assert_true(since > 0 && *sentence);
	if (j->stop_at && !j->stopped && !strcmp(step, j->stop_at))
		j->stop_now = true;
	if (!strcmp(step, "finalize"))
		assert_true(j->barriers > 0);
}

static const struct acme_hooks hooks = {
	hook_checkpoint, hook_publish, hook_visible, hook_unpublish, hook_progress, NULL};

static void on_done(void *arg, struct acme_result *r)
{
	struct job *j = arg;
	struct why why;

	j->over = true;
	j->order = NULL;
	j->ok = r->ok;
	j->replaced = r->replaced;
	j->placed += r->orders_placed;
	j->n_authz = r->n_authorizations;
	if (r->n_authorizations)
		snprintf(j->authz_url, sizeof(j->authz_url), "%s", r->authorizations[0].url);
	if (r->ok) {
		j->chain = *r->chain;
		*r->chain = (struct chain){0};
		assert_int_equal(cert_info_read(j->chain.certs[0].der, j->chain.certs[0].len,
					 &j->info, &why),
			0);
		return;
	}
	snprintf(j->code, sizeof(j->code), "%s", r->failure->code);
	j->class = r->failure->class;
	if (r->failure->n_rejected)
		snprintf(j->rejected, sizeof(j->rejected), "%s", r->failure->rejected[0]);
	if (getenv("VERBOSE"))
		print_message("%s: %s at %s: %s\n", j->names[0], r->failure->code, r->failure->step,
			r->failure->detail);
}

static void job_start(struct job *j)
{
	struct acme_identifier ids[3];
	struct acme_order_spec spec = {.names = ids,
		.n_names = j->n_names,
		.key_type = j->key_type,
		.replaces = j->replaces,
		.deadline_ms = WATCHDOG_MS / 2};
	struct acme_checkpoint c = {.version = ACME_CHECKPOINT_VERSION,
		.authority = "pebble",
		.order_url = j->order_url,
		.key = j->key,
		.key_len = j->key_len};

	memcpy(c.names_hash, j->names_hash, 32);
	for (size_t i = 0; i < j->n_names; i++)
		ids[i] = (struct acme_identifier){.name = j->names[i],
			.choices = {ACME_DNS_01, ACME_HTTP_01},
			.n_choices = j->names[i][0] == '*' ? 1 : 2};
	j->order = acme_order_start(
		j->w->authority, &spec, j->have_checkpoint ? &c : NULL, &hooks, j, on_done);
}

static void job_init(struct job *j, struct world *w, const char *base, bool wildcard)
{
	*j = (struct job){.w = w, .n_names = wildcard ? 2 : 1, .key_type = KEY_P256};
	snprintf(j->names[0], sizeof(j->names[0]), "%s", base);
	snprintf(j->names[1], sizeof(j->names[1]), "*.%s", base);
}

static void job_release(struct job *j)
{
	chain_release(&j->chain);
	free(j->order_url);
	free(j->replaces);
}

struct jobs {
	struct job *jobs;
	size_t n;
};

static bool all_over(void *arg)
{
	struct jobs *js = arg;
	bool over = true;

	for (size_t i = 0; i < js->n; i++) {
		struct job *j = &js->jobs[i];

		if (j->stop_now && !j->stopped && !j->over) {
			j->stopped = true;
			acme_order_cancel(j->order, true);
			job_start(j);
		}
		over &= j->over;
	}
	return over;
}

static void wait_all(struct world *w, struct job *jobs, size_t n)
{
	struct jobs js = {jobs, n};

	if (loop_until(&w->loop, all_over, &js, WATCHDOG_MS))
		return;
	pebble_dump(&pebble);
	fail_msg("orders did not end in time");
}

static struct acme_authority *authority_for(
	struct world *w, const char *directory, const char *ca_file)
{
	static const char *const contacts[] = {"mailto:ops@example.org"};
	struct acme_authority_options o = {.name = "pebble",
		.directory_url = directory,
		.contacts = contacts,
		.n_contacts = 1,
		.tos_agreed = true,
		.ca_file = ca_file};

	return acme_authority_new(&w->loop, &o, &store, w);
}

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));

	uv_loop_init(&w->loop);
	uv_idle_init(&w->loop, &w->idle);
	w->idle.data = w;
	w->authority = authority_for(w, pebble.directory, pebble.ca_file);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	acme_authority_free(w->authority);
	uv_close((uv_handle_t *)&w->idle, NULL);
	loop_finish(&w->loop);
	free(w->account_url);
	free(w);
	return 0;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* --- the tests --- */

static void test_many_side_by_side(void **state)
{
	struct world *w = *state;
	struct job *jobs = mem_array(ORDERS, sizeof(*jobs));
	double cpu = cpu_seconds();
	int64_t since = clock_mono_ms();

	for (int i = 0; i < ORDERS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "n%d.many.example.com", i);
		job_init(&jobs[i], w, name, i % 5 == 0);
		job_start(&jobs[i]);
	}
	wait_all(w, jobs, ORDERS);
	cpu = cpu_seconds() - cpu;
	for (int i = 0; i < ORDERS; i++) {
		if (!jobs[i].ok)
			fail_msg("%s: %s", jobs[i].names[0], jobs[i].code);
		assert_int_equal(jobs[i].placed, 1);
		assert_int_equal(jobs[i].barriers, 1);
		assert_int_equal(jobs[i].published, jobs[i].unpublished);
		assert_int_equal(jobs[i].n_authz, jobs[i].n_names);
		if (jobs[i].n_names == 2 && jobs[i].published == 2)
			assert_string_not_equal(jobs[i].txt[0], jobs[i].txt[1]);
		job_release(&jobs[i]);
	}
	assert_int_equal(w->locks, 1);
	assert_int_equal(w->saves, 2);
	print_message("%d certificates in %lld ms, %.2f ms of CPU each\n", ORDERS,
		(long long)(clock_mono_ms() - since), cpu * 1000 / ORDERS);
	free(jobs);
}

static void test_other_keys(void **state)
{
	static const enum key_type types[] = {KEY_RSA2048, KEY_P384};
	struct job jobs[2];

	for (size_t i = 0; i < 2; i++) {
		job_init(&jobs[i], *state, i ? "p384.example.com" : "rsa.example.com", true);
		jobs[i].key_type = types[i];
		job_start(&jobs[i]);
	}
	wait_all(*state, jobs, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(jobs[i].ok);
		job_release(&jobs[i]);
	}
}

/* The order is dropped as it enters each step, and taken up again from what was checkpointed. */
static void test_resume_at_each_step(void **state)
{
	struct job jobs[ORDER_STEPS_N];

	for (int i = 0; i < ORDER_STEPS_N; i++) {
		char name[64];

		snprintf(name, sizeof(name), "r%d.resume.example.com", i);
		job_init(&jobs[i], *state, name, true);
		jobs[i].stop_at = order_step_name((enum order_step)i);
		job_start(&jobs[i]);
	}
	wait_all(*state, jobs, ORDER_STEPS_N);
	for (int i = 0; i < ORDER_STEPS_N; i++) {
		if (!jobs[i].ok)
			fail_msg("stopped at %s: %s", jobs[i].stop_at, jobs[i].code);
		/* Not entered on the first way, or left in the same turn of the loop. */
		if (i < ORDER_READ_ORDER || i == ORDER_AUTHORIZE || i == ORDER_FINALIZE ||
			i == ORDER_DOWNLOAD)
			assert_true(jobs[i].stopped);
		/* Once its URL was saved an order is never placed again. */
		if (i > ORDER_SAVE_ORDER && jobs[i].stopped)
			assert_int_equal(jobs[i].placed, 0);
		job_release(&jobs[i]);
	}
}

static void on_call(void *arg, const struct acme_failure *f)
{
	if (f)
		fail_msg("%s: %s", f->code, f->detail);
	(*(int *)arg)++;
}

static void test_revoke_and_deactivate(void **state)
{
	struct world *w = *state;
	struct job j;
	int calls = 0;

	job_init(&j, w, "revoke.example.com", false);
	job_start(&j);
	wait_all(w, &j, 1);
	assert_true(j.ok);
	acme_revoke(w->authority, j.chain.certs[0].der, j.chain.certs[0].len, 4, on_call, &calls);
	assert_true(loop_until_count(&w->loop, &calls, 1, WATCHDOG_MS));
	acme_revoke(w->authority, j.chain.certs[0].der, j.chain.certs[0].len, 4, on_call, &calls);
	assert_true(loop_until_count(
		&w->loop, &calls, 2, WATCHDOG_MS)); /* already revoked is success */
	acme_deactivate_authz(w->authority, j.authz_url, on_call, &calls);
	assert_true(loop_until_count(&w->loop, &calls, 3, WATCHDOG_MS));
	acme_deactivate_authz(w->authority, j.authz_url, on_call, &calls);
	assert_true(loop_until_count(&w->loop, &calls, 4, WATCHDOG_MS));
	job_release(&j);
}

struct renewal_seen {
	int calls;
	int64_t start, end, retry;
	char code[48];
};

static void on_renewal(void *arg, const struct acme_renewal *r, const struct acme_failure *f)
{
	struct renewal_seen *seen = arg;

	seen->calls++;
	if (r) {
		seen->start = r->start_wall_ms;
		seen->end = r->end_wall_ms;
		seen->retry = r->retry_after_ms;
	} else {
		snprintf(seen->code, sizeof(seen->code), "%s", f->code);
	}
}

static void test_renewal_info_and_replaces(void **state)
{
	struct world *w = *state;
	struct renewal_seen seen = {0};
	struct job j[3];

	job_init(&j[0], w, "ari.example.com", false);
	job_start(&j[0]);
	wait_all(w, j, 1);
	assert_true(j[0].ok);
	acme_renewal_info(w->authority, j[0].info.ari_id, on_renewal, &seen);
	assert_true(loop_until_count(&w->loop, &seen.calls, 1, WATCHDOG_MS));
	assert_string_equal(seen.code, "");
	assert_true(seen.start > 0 && seen.end > seen.start && seen.retry == 6 * CLOCK_HOUR_MS);
	for (int i = 1; i < 3; i++) { /* the second is told that it was replaced already */
		job_init(&j[i], w, "ari.example.com", false);
		j[i].replaces = mem_strdup(j[0].info.ari_id);
		job_start(&j[i]);
		wait_all(w, &j[i], 1);
		assert_true(j[i].ok);
		assert_int_equal(j[i].replaced, i == 1);
	}
	for (int i = 0; i < 3; i++)
		job_release(&j[i]);
}

static void test_rejected_name(void **state)
{
	struct job j;

	job_init(&j, *state, "blocked.example.net", false);
	job_start(&j);
	wait_all(*state, &j, 1);
	assert_false(j.ok);
	assert_string_equal(j.code, "rejectedIdentifier");
	assert_int_equal(j.class, ACME_OTHER_AUTHORITY);
	job_release(&j);
}

/* The CA lost its accounts: the same key is registered again, once, and the orders go on. */
static void test_account_lost(void **state)
{
	struct world *w = *state;
	struct job jobs[10];
	EVP_PKEY *key;
	struct buf packed = BUF_INIT(512);
	char url[256];

	assert_int_equal(keypair_make(KEY_P256, &key), 0);
	assert_int_equal(keypair_pack(key, &packed), 0);
	memcpy(w->key, packed.data, packed.len);
	w->key_len = packed.len;
	snprintf(url, sizeof(url), "https://localhost:%d/my-account/doesnotexist", pebble.port);
	w->account_url = mem_strdup(url);
	for (int i = 0; i < 10; i++) {
		char name[64];

		snprintf(name, sizeof(name), "l%d.lost.example.com", i);
		job_init(&jobs[i], w, name, false);
		job_start(&jobs[i]);
	}
	wait_all(w, jobs, 10);
	for (int i = 0; i < 10; i++) {
		if (!jobs[i].ok)
			fail_msg("%s: %s", jobs[i].names[0], jobs[i].code);
		job_release(&jobs[i]);
	}
	assert_int_equal(w->locks, 1);
	assert_string_not_equal(w->account_url, url);
	EVP_PKEY_free(key);
	buf_release_secret(&packed);
}

struct ready_seen {
	int calls;
	char code[48], detail[512];
	enum acme_class class;
};

static void on_ready(void *arg, const struct acme_failure *f)
{
	struct ready_seen *seen = arg;

	seen->calls++;
	if (!f)
		return;
	seen->class = f->class;
	snprintf(seen->code, sizeof(seen->code), "%s", f->code);
	snprintf(seen->detail, sizeof(seen->detail), "%s", f->detail);
}

static void test_not_a_directory(void **state)
{
	struct world *w = *state;
	struct ready_seen seen[3] = {0};
	char url[128];
	struct acme_authority *a[3];

	snprintf(url, sizeof(url), "https://localhost:%d/nonce-plz", pebble.port);
	a[0] = authority_for(w, url, pebble.ca_file);
	snprintf(url, sizeof(url), "https://localhost:%d/nowhere", pebble.port);
	a[1] = authority_for(w, url, pebble.ca_file);
	a[2] = authority_for(w, pebble.directory, NULL); /* not trusted */
	for (int i = 0; i < 3; i++) {
		acme_authority_ready(a[i], on_ready, &seen[i]);
		assert_true(loop_until_count(&w->loop, &seen[i].calls, 1, WATCHDOG_MS));
		assert_int_equal(seen[i].class, ACME_OPERATOR);
		if (getenv("VERBOSE"))
			print_message("%s: %s\n", seen[i].code, seen[i].detail);
		acme_authority_free(a[i]);
	}
	assert_string_equal(seen[0].code, "not_acme");
	assert_string_equal(seen[1].code, "not_acme");
	assert_string_equal(seen[2].code, "not_trusted");
	assert_int_equal(w->saves, 0);
}

static void test_cancel(void **state)
{
	struct world *w = *state;
	struct job jobs[20];

	for (int i = 0; i < 20; i++) {
		char name[64];

		snprintf(name, sizeof(name), "c%d.cancel.example.com", i);
		job_init(&jobs[i], w, name, true);
		job_start(&jobs[i]);
	}
	for (int i = 0; i < 20; i++) {
		uv_run(&w->loop, UV_RUN_ONCE);
		acme_order_cancel(jobs[i].order, i % 2);
	}
	for (int i = 0; i < 20; i++) {
		assert_false(jobs[i].over);
		job_release(&jobs[i]);
	}
	loop_for(&w->loop, 50);
}

int main(void)
{
	static const char *const env[] = {"PEBBLE_VA_ALWAYS_VALID=1", "PEBBLE_WFE_NONCEREJECT=5",
		"PEBBLE_AUTHZREUSE=50", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_many_side_by_side, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_resume_at_each_step, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_revoke_and_deactivate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_renewal_info_and_replaces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rejected_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_account_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_a_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
	};
	int failed;

	pebble_start(&pebble, env);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pebble_stop(&pebble);
	return failed;
}
