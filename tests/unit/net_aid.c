#include "tests/unit/net_aid.h"

#include "common/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

/* One turn that waits for at most 2 ms, because the test's own sockets are not in the loop. */
static void turn(uv_loop_t *loop)
{
	uv_timer_t tick;

	uv_timer_init(loop, &tick);
	uv_timer_start(&tick, on_tick, 2, 0);
	uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

void aid_until(uv_loop_t *loop, bool (*done)(void *arg), void *arg)
{
	int64_t end = clock_mono_ms() + NET_AID_DEADLINE_MS;

	while (!done(arg)) {
		if (clock_mono_ms() > end)
			fail_msg("nothing happened within %d ms", NET_AID_DEADLINE_MS);
		turn(loop);
	}
}

static bool flag_is_set(void *arg)
{
	return *(const volatile bool *)arg;
}

void aid_until_flag(uv_loop_t *loop, const bool *flag)
{
	aid_until(loop, flag_is_set, (void *)(uintptr_t)flag);
}

void aid_turn(uv_loop_t *loop)
{
	for (int i = 0; i < 5; i++)
		uv_run(loop, UV_RUN_NOWAIT);
}

static bool loop_is_closed(void *arg)
{
	return uv_loop_close(arg) == 0;
}

void aid_loop_end(uv_loop_t *loop)
{
	int64_t end = clock_mono_ms() + NET_AID_DEADLINE_MS;

	while (!loop_is_closed(loop)) {
		assert_true(clock_mono_ms() < end);
		uv_run(loop, UV_RUN_NOWAIT);
	}
}

static int connected(const struct addr *to, int type)
{
	int fd = socket(to->sa.sa_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &to->sa, addr_len(to)), 0);
	return fd;
}

int aid_connect(const struct addr *to)
{
	return connected(to, SOCK_STREAM);
}

int aid_udp(const struct addr *to)
{
	return connected(to, SOCK_DGRAM);
}

void aid_send(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

void aid_sends(int fd, const char *text)
{
	aid_send(fd, text, strlen(text));
}

/* Bytes read, 0 at the end, -1 when there is nothing yet. */
static ssize_t take(int fd, struct buf *in)
{
	char bytes[65536];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		buf_add(in, bytes, (size_t)n);
	if (n < 0 && errno == ECONNRESET)
		return 0;
	return n;
}

void aid_read(uv_loop_t *loop, int fd, struct buf *in, size_t n, const char *until)
{
	int64_t end = clock_mono_ms() + NET_AID_DEADLINE_MS;

	for (;;) {
		ssize_t got = take(fd, in);
		if (got == 0 || (n && in->len >= n) || (until && strstr(buf_cstr(in), until)))
			return;
		if (clock_mono_ms() > end)
			fail_msg("no answer within %d ms; so far: %s", NET_AID_DEADLINE_MS,
				buf_cstr(in));
		if (got < 0)
			turn(loop);
	}
}

bool aid_read_end(uv_loop_t *loop, int fd)
{
	struct buf rest = BUF_INIT(1 << 20);

	aid_read(loop, fd, &rest, 0, NULL);
	bool empty = rest.len == 0;
	buf_release(&rest);
	return empty;
}
