#include "tests/unit/scheduler/world.h"

#include "common/mem.h"
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 32

static void on_state(void *arg, bool up, const struct why *why)
{
	struct world *w = arg;

	(void)why;
	w->ups += up;
}

void world_start(struct world *w)
{
	struct why why = {""};

	memset(w, 0, sizeof *w);
	uv_loop_init(&w->loop);
	w->server = redis_server_start(NULL);
	redis_server_options(w->server, &w->options);
	w->redis = redis_new(&w->loop, &w->options, on_state, w);
	w->block = redis_new(&w->loop, &w->options, on_state, w);
	assert_true(loop_until_count(&w->loop, &w->ups, 2, SOON_MS));
	if (redis_sync_open(&w->options, &w->sync, &why))
		fail_msg("%s", why.text);
}

void world_finish(struct world *w)
{
	redis_free(w->redis);
	redis_free(w->block);
	loop_finish(&w->loop);
	redis_sync_close(w->sync);
	redis_server_stop(w->server);
}

static const struct reply *ask(struct world *w, size_t argc, const char **argv, const size_t *lens)
{
	const struct reply *reply = NULL;
	struct why why = {""};

	if (redis_sync_command(w->sync, &reply, &why, argc, argv, lens))
		fail_msg("%s: %s", argv[0], why.text);
	return reply;
}

const struct reply *world_ask(struct world *w, const char *first, ...)
{
	const char *argv[ARGS_MAX], *arg = first;
	char keys[ARGS_MAX][256];
	size_t argc = 0;
	va_list ap;

	va_start(ap, first);
	for (; arg && argc < ARGS_MAX; arg = va_arg(ap, const char *)) {
		if (arg[0] == '@') {
			snprintf(keys[argc], sizeof keys[argc], "%s%s", redis_sync_prefix(w->sync),
				arg + 1);
			argv[argc] = keys[argc];
		} else {
			argv[argc] = arg;
		}
		argc++;
	}
	va_end(ap);
	return ask(w, argc, argv, NULL);
}

int64_t world_ask_int(struct world *w, const char *first, const char *key)
{
	return reply_int(world_ask(w, first, key, NULL));
}

void world_pack(const char *words, struct buf *out)
{
	_mem_free_ char *copy = mem_strdup(words);
	size_t map = mp_map_open(out);

	for (char *save = NULL, *w = strtok_r(copy, " ", &save); w;
		w = strtok_r(NULL, " ", &save)) {
		char *value = strchr(w, '=');

		*value++ = 0;
		mp_key(out, w);
		if (strcmp(w, "names") != 0) {
			mp_str(out, value);
			continue;
		}
		size_t names = mp_array_open(out);
		for (char *more = NULL, *n = strtok_r(value, ",", &more); n;
			n = strtok_r(NULL, ",", &more))
			mp_str(out, n);
		mp_array_close(out, names);
	}
	mp_map_close(out, map);
}

void world_request(struct world *w, const char *id, const char *type, const char *words)
{
	_buf_release_ struct buf data = BUF_INIT(1 << 20);
	_mem_free_ char *key = mem_printf("%srequests", redis_sync_prefix(w->sync));
	const char *argv[] = {"XADD", key, "*", "id", id, "source", "/test:1", "type", type,
		"specversion", "1.0", "data", NULL};
	size_t lens[ARRAY_LEN(argv)];

	world_pack(words, &data);
	for (size_t i = 0; i + 1 < ARRAY_LEN(argv); i++)
		lens[i] = strlen(argv[i]);
	argv[ARRAY_LEN(argv) - 1] = data.data;
	lens[ARRAY_LEN(argv) - 1] = data.len;
	ask(w, ARRAY_LEN(argv), argv, lens);
}

const char *world_answer(struct world *w, const char *id)
{
	static char said[128];
	char key[256], status[32] = "", code[64] = "";
	const struct reply *reply;
	struct mp_doc doc;
	struct mp root;
	size_t n = 0;
	const char *bytes;

	snprintf(key, sizeof key, "@req:/test%%3A1:%s", id);
	reply = world_ask(w, "GET", key, NULL);
	bytes = reply_str(reply, &n);
	if (!bytes)
		return "";
	assert_int_equal(mp_open(&doc, bytes, n, &root, NULL), 0);
	mp_get_text(&root, "status", status, sizeof status);
	mp_get_text(&root, "code", code, sizeof code);
	snprintf(said, sizeof said, "%s%s%s", status, code[0] ? "/" : "", code);
	return said;
}

int world_count_events(struct world *w, const char *stream, const char *type)
{
	char key[128];
	const struct reply *reply;
	int n = 0;

	snprintf(key, sizeof key, "@%s", stream);
	reply = world_ask(w, "XRANGE", key, "-", "+", NULL);
	for (size_t i = 0; i < reply_len(reply); i++) {
		const struct reply *fields = reply_at(reply_at(reply, i), 1);

		for (size_t k = 0; k + 1 < reply_len(fields); k += 2)
			n += !strcmp(reply_str(reply_at(fields, k), NULL), "type") &&
			     !strcmp(reply_str(reply_at(fields, k + 1), NULL), type);
	}
	return n;
}
