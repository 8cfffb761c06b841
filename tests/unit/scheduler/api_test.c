#include "scheduler/api.h"

#include "scheduler/stats.h"
#include "tests/unit/net_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	uv_loop_t loop;
	struct api *api;
	bool leads, drained;
	const char *unready;
};

static bool leads(void *arg)
{
	return ((struct scene *)arg)->leads;
}

static const char *unready(void *arg)
{
	return ((struct scene *)arg)->unready;
}

static void start(struct scene *s)
{
	struct api_view view = {.leads = leads, .unready = unready, .arg = s};
	struct addr listen;

	memset(s, 0, sizeof *s);
	uv_loop_init(&s->loop);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &listen, NULL), 0);
	assert_int_equal(api_new(&s->loop, &listen, &view, &s->api, NULL), 0);
}

static void expect(struct scene *s, const char *path, const char *status, const char *text)
{
	_buf_release_ struct buf in = BUF_INIT(1 << 20);
	char head[256];
	int fd = aid_connect(api_address(s->api));

	snprintf(
		head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	aid_sends(fd, head);
	aid_read(&s->loop, fd, &in, 1 << 20, NULL);
	close(fd);
	if (!strstr(buf_cstr(&in), status) || !strstr(buf_cstr(&in), text))
		fail_msg("%s: \"%s\" lacks \"%s\" or \"%s\"", path, buf_cstr(&in), status, text);
}

static void drained(void *arg)
{
	((struct scene *)arg)->drained = true;
}

static void shows_how_it_is(void **state)
{
	struct scene s;

	(void)state;
	stats_register();
	start(&s);
	expect(&s, "/healthz", " 200 ", "ok follower");
	s.leads = true;
	expect(&s, "/healthz", " 200 ", "ok leader");
	expect(&s, "/readyz", " 200 ", "ready");
	s.unready = "draining";
	expect(&s, "/readyz", " 503 ", "draining");
	expect(&s, "/healthz", " 200 ", "ok");
	expect(&s, "/metrics", " 200 ", "certfleet_scheduler_leader 0\n");
	expect(&s, "/", " 200 ", "/metrics");
	expect(&s, "/nothing", " 404 ", "");
	api_drain(s.api, 1000, drained, &s);
	aid_until_flag(&s.loop, &s.drained);
	api_free(s.api);
	aid_loop_end(&s.loop);
}

static void names_an_address_in_use(void **state)
{
	struct api_view view = {.leads = leads, .unready = unready};
	struct why why = {""};
	struct api *other;
	struct scene s;

	(void)state;
	start(&s);
	assert_int_equal(api_new(&s.loop, api_address(s.api), &view, &other, &why), CF_EIO);
	assert_non_null(strstr(why.text, "127.0.0.1:"));
	api_free(s.api);
	aid_loop_end(&s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_how_it_is),
		cmocka_unit_test(names_an_address_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
