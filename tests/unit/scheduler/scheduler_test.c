/* The process as a whole, in this one's loop: it leads, works, drains; and refuses to start with a
 * wrong key. */
#include "scheduler/scheduler.h"

#include "common/event.h"
#include "common/mem.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct scene {
	struct world
		w; /* its server and its blocking connection; the scheduler has a loop of its own */
	uv_loop_t loop;
	struct config *config;
	struct scheduler *scheduler;
};

static void write_key(const struct scene *s, const char *name, char letter)
{
	_mem_free_ char *path = mem_printf("%s/%s", redis_server_folder(s->w.server), name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (int i = 0; i < 31; i++)
		fprintf(f, "%02x", i);
	fprintf(f, "0%c", letter);
	fputc('\n', f);
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

static void make_config(struct scene *s)
{
	const char *d = redis_server_folder(s->w.server);
	_mem_free_ char *text = mem_printf(
		"fleet: test\n"
		"redis: { url: \"redis://127.0.0.1:%u/0\" }\n"
		"vault: { accounts_key_file: %s/a.key, certificates_key_file: %s/c.key }\n"
		"authorities: [ { name: ca, directory: \"https://127.0.0.1:1/dir\", "
		"terms_of_service_agreed: true } ]\n"
		"challenges:\n"
		"  zones: [acme.platform.example]\n"
		"  label_key_file: %s/l.key\n"
		"  nameservers: [ { name: ns1.acme.platform.example, addresses: [\"127.0.0.1\"] }, "
		"{ name: ns2.acme.platform.example, addresses: [\"127.0.0.2\"] } ]\n"
		"scheduler: { listen: \"127.0.0.1:0\", lease: 2s }\n",
		(unsigned)redis_server_port(s->w.server), d, d, d);
	struct config_errors errors;

	if (config_parse("test", text, strlen(text), &s->config, &errors))
		fail_msg("%s", errors.lines[0]);
}

static void start(struct scene *s)
{
	struct why why = {""};

	memset(s, 0, sizeof *s);
	world_start(&s->w);
	write_key(s, "a.key", 'a');
	write_key(s, "c.key", 'c');
	write_key(s, "l.key", 'e');
	make_config(s);
	uv_loop_init(&s->loop);
	if (scheduler_new(&s->loop, s->config, &s->scheduler, &why))
		fail_msg("%s", why.text);
}

/* Turns the loop until it has ended, then frees; gives the exit status. */
static int end(struct scene *s)
{
	int status;

	uv_run(&s->loop, UV_RUN_DEFAULT);
	status = scheduler_free(s->scheduler);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	config_free(s->config);
	return status;
}

static bool leads(void *arg)
{
	struct scene *s = arg;
	const char *nonce = reply_str(world_ask(&s->w, "HGET", "@leader", "nonce", NULL), NULL);

	return nonce && nonce[0];
}

/* The group is there: both connections are up, and the leader reads. */
static bool reads(void *arg)
{
	struct scene *s = arg;

	return leads(s) && world_ask_int(&s->w, "EXISTS", "@requests") == 1;
}

static bool is_answered(void *arg)
{
	struct scene *s = arg;

	return world_answer(&s->w, "1")[0] != 0;
}

static void leads_works_and_drains(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	assert_true(loop_until(&s.loop, leads, &s, SOON_MS));
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	assert_true(loop_until(&s.loop, is_answered, &s, SOON_MS));
	assert_string_equal(world_answer(&s.w, "1"), "done");
	scheduler_stop(s.scheduler);
	assert_int_equal(end(&s), 0);
	assert_false(leads(&s)); /* the lease was given back */
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@vault:accounts"), 1);
	world_finish(&s.w);
}

static void survives_a_redis_that_goes_and_comes(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	assert_true(loop_until(&s.loop, reads, &s, SOON_MS));
	redis_server_restart(
		s.w.server); /* without persistence: it has forgotten everything, the group too */
	redis_sync_close(s.w.sync);
	assert_int_equal(redis_sync_open(&s.w.options, &s.w.sync, NULL), 0);
	assert_true(loop_until(&s.loop, reads, &s, SOON_MS));
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	assert_true(loop_until(&s.loop, is_answered, &s, SOON_MS));
	scheduler_stop(s.scheduler);
	assert_int_equal(end(&s), 0);
	world_finish(&s.w);
}

static void drains_while_redis_is_away(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	assert_true(loop_until(&s.loop, leads, &s, SOON_MS));
	redis_server_kill(s.w.server);
	loop_for(&s.loop, 50);
	scheduler_stop(s.scheduler);
	assert_int_equal(end(&s), 0);
	world_finish(&s.w);
}

static void refuses_a_wrong_key(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	assert_true(loop_until(&s.loop, leads, &s, SOON_MS));
	scheduler_stop(s.scheduler);
	assert_int_equal(end(&s), 0);
	write_key(&s, "c.key", 'd');
	make_config(&s);
	uv_loop_init(&s.loop);
	assert_int_equal(scheduler_new(&s.loop, s.config, &s.scheduler, NULL), 0);
	assert_int_equal(end(&s), 1); /* by itself */
	assert_false(leads(&s));
	world_finish(&s.w);
}

static void ends_at_once_when_told_twice(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	scheduler_stop(s.scheduler);
	scheduler_stop(s.scheduler);
	assert_int_equal(end(&s), 0);
	world_finish(&s.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leads_works_and_drains),
		cmocka_unit_test(survives_a_redis_that_goes_and_comes),
		cmocka_unit_test(drains_while_redis_is_away),
		cmocka_unit_test(refuses_a_wrong_key),
		cmocka_unit_test(ends_at_once_when_told_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
