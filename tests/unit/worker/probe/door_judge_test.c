/* What looks through a front door mean: one row an address, and the codes that follow. */
#include "worker/probe/door_judge.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1795000000000)
#define V4  "192.0.2.1"
#define V6  "2001:db8::1"

#define RIGHT(at)                                                             \
	{                                                                     \
		at,                                                           \
		{                                                             \
			.end = DOOR_RIGHT, .path_kept = true, .what = "right" \
		}                                                             \
	}
#define SAW(at, how)                                                \
	{                                                           \
		at,                                                 \
		{                                                   \
			.end = how, .path_kept = true, .what = #how \
		}                                                   \
	}
#define LED(at, how, kept, at_host)                                                  \
	{                                                                            \
		at,                                                                  \
		{                                                                    \
			.end = how, .redirects = 1, .path_kept = kept, .what = #how, \
			.host = at_host                                              \
		}                                                                    \
	}

static const struct {
	struct {
		const char *at;
		struct door_result result;
	} seen[3];
	enum probe_status status;
	const char *codes, *fix;
} rows[] = {
	{{RIGHT(V4)}, PROBE_RIGHT, "", NULL},
	{{RIGHT(V4), RIGHT(V6)}, PROBE_RIGHT, "", NULL},
	{{SAW(V4, DOOR_FOREIGN)}, PROBE_WRONG, "probe_foreign",
		"Point shop.example at edge.example"},
	{{SAW(V4, DOOR_BROKEN)}, PROBE_WRONG, "probe_foreign", "proxy_pass http://edge.example;"},
	{{SAW(V4, DOOR_REFUSED)}, PROBE_WRONG, "probe_refused", "At 192.0.2.1: let the web server"},
	{{SAW(V4, DOOR_TIMEOUT)}, PROBE_WRONG, "probe_timeout", "At 192.0.2.1: open TCP port 80"},
	{{SAW(V4, DOOR_AWAY)}, PROBE_WRONG, "probe_redirect", "before any redirect"},
	/* IPv6 takes no connection while IPv4 does */
	{{RIGHT(V4), SAW(V6, DOOR_REFUSED)}, PROBE_WRONG, "aaaa_unreachable",
		"Remove: shop.example AAAA 2001:db8::1"},
	{{SAW(V4, DOOR_FOREIGN), SAW(V6, DOOR_TIMEOUT)}, PROBE_WRONG,
		"probe_foreign aaaa_unreachable", NULL},
	{{SAW(V4, DOOR_REFUSED), SAW(V6, DOOR_REFUSED)}, PROBE_WRONG, "probe_refused", NULL},
	{{SAW(V6, DOOR_REFUSED)}, PROBE_WRONG, "probe_refused", NULL},
	{{SAW(V6, DOOR_TIMEOUT), RIGHT("2001:db8::2")}, PROBE_WRONG, "probe_timeout", NULL},
	/* redirects: kept, lost, to nowhere, without a slash */
	{{LED(V4, DOOR_RIGHT, true, "shop.example")}, PROBE_RIGHT, "", NULL},
	{{LED(V4, DOOR_FOREIGN, true, "shop.example")}, PROBE_WRONG, "probe_foreign", NULL},
	{{LED(V4, DOOR_FOREIGN, false, "shop.example")}, PROBE_WRONG, "probe_redirect", NULL},
	{{LED(V4, DOOR_REFUSED, true, "shop.example")}, PROBE_WRONG, "probe_redirect", NULL},
	{{LED(V6, DOOR_TIMEOUT, true, "a.example"), RIGHT(V4)}, PROBE_WRONG, "probe_redirect",
		NULL},
	{{LED(V4, DOOR_AWAY, false, "shop.example.well-known")}, PROBE_WRONG, "redirect_slash",
		"https://shop.example/ instead of https://shop.example"},
	/* what we cannot see is nobody's fault */
	{{SAW(V4, DOOR_NO_WAY)}, PROBE_UNKNOWN, "", NULL},
	{{SAW(V4, DOOR_FORBIDDEN), SAW(V6, DOOR_NO_WAY)}, PROBE_UNKNOWN, "", NULL},
	{{SAW(V6, DOOR_NO_WAY), RIGHT(V4)}, PROBE_RIGHT, "", NULL},
	{{SAW(V4, DOOR_FORBIDDEN), SAW(V6, DOOR_REFUSED)}, PROBE_WRONG, "probe_refused", NULL},
	{{{NULL, {0}}}, PROBE_UNKNOWN, "", NULL},
};

static size_t fill(size_t row, struct door_seen out[3])
{
	size_t n = 0;

	for (; n < 3 && rows[row].seen[n].at; n++) {
		addr_parse(rows[row].seen[n].at, 80, &out[n].at, NULL);
		out[n].result = rows[row].seen[n].result;
	}
	return n;
}

static void each_set_of_addresses(void **state)
{
	static struct diagnosis found[DOOR_FINDINGS_MAX];
	const struct door_case c = {
		.name = "shop.example", .target = "edge.example", .now_ms = NOW};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct door_seen seen[3];
		size_t n = fill(i, seen), found_n;
		_buf_release_ struct buf codes = BUF_INIT(256);

		if (door_judge(&c, seen, n, found, &found_n) != rows[i].status)
			fail_msg("row %zu has another status", i);
		for (size_t k = 0; k < found_n; k++) {
			buf_addf(&codes, "%s%s", k ? " " : "", found[k].code);
			assert_true(door_is_code(found[k].code));
			assert_int_equal(found[k].observed_n, n);
			assert_int_equal(found[k].actor, ACTOR_OWNER);
			assert_true(found[k].fix[0] && found[k].effect[0] && found[k].expected[0]);
		}
		if (strcmp(buf_cstr(&codes), rows[i].codes) != 0)
			fail_msg("row %zu: \"%s\" instead of \"%s\"", i, buf_cstr(&codes),
				rows[i].codes);
		if (rows[i].fix && !strstr(found[0].fix, rows[i].fix))
			fail_msg("row %zu: %s", i, found[0].fix);
	}
}

/* At the target's own addresses it is the operator's, and the date is the renewal's. */
static void whose_it_is_and_when_it_hurts(void **state)
{
	static struct diagnosis found[DOOR_FINDINGS_MAX];
	const struct endpoint_cert cert = {.renew_at_ms = NOW + 1000, .not_after_ms = NOW + 5000};
	const struct endpoint_cert late = {.renew_at_ms = NOW - 1000, .not_after_ms = NOW + 5000};
	struct door_case c = {.name = "shop.example",
		.target = "edge.example",
		.cert = &cert,
		.ours = true,
		.alone = true,
		.now_ms = NOW};
	struct door_seen seen[3];
	size_t n = fill(2, seen), found_n;

	(void)state;
	door_judge(&c, seen, n, found, &found_n);
	assert_int_equal(found[0].actor, ACTOR_OPERATOR);
	assert_non_null(strstr(found[0].fix, "to the workers with the role http-01"));
	assert_int_equal(found[0].effect_ms, cert.renew_at_ms);
	assert_non_null(strstr(found[0].effect, "The renewal at 2026-"));
	c.cert = &late;
	door_judge(&c, seen, n, found, &found_n);
	assert_int_equal(found[0].effect_ms, late.not_after_ms);
	c.alone = false;
	door_judge(&c, seen, n, found, &found_n);
	assert_int_equal(found[0].effect_ms, 0);
	assert_non_null(strstr(found[0].effect, "issued by dns-01"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_set_of_addresses),
		cmocka_unit_test(whose_it_is_and_when_it_hurts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
