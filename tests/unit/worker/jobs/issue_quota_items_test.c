/* Which limits an order touches. */
#include "common/clock.h"
#include "worker/jobs/issue_quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const struct config_limits letsencrypt = {
	.new_orders = {300, 3 * CLOCK_HOUR_MS},
	.certificates_per_registered_domain = {50, 7 * CLOCK_DAY_MS},
	.duplicates = {5, 7 * CLOCK_DAY_MS},
	.failed_authorizations = {5, CLOCK_HOUR_MS},
};

static const char *const names[] = {
	"*.example.com", "example.com", "shop.example.co.uk", "a.github.io"};

static struct quota_order order(void)
{
	return (struct quota_order){
		.authority = "ca", .limits = &letsencrypt, .names = names, .names_n = 4};
}

static const struct quota_touch *find(const struct quota_touch *t, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(t[i].item.key, key))
			return &t[i];
	return NULL;
}

static size_t count(const struct quota_touch *t, size_t n, enum quota_limit limit)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += t[i].limit == limit;
	return sum;
}

static void a_new_order_touches_all(void **state)
{
	struct quota_order o = order();
	size_t n;
	struct quota_touch *t = issue_quota_items(&o, &n);
	const struct quota_touch *one;

	(void)state;
	assert_int_equal(n, 1 + 3 + 1 + 4);
	one = find(t, n, "ca:new_orders");
	assert_non_null(one);
	assert_int_equal(one->item.burst, 270); /* a tenth is for renewals */
	assert_int_equal(one->item.period_ms, 36000);
	assert_int_equal(one->item.cost, 1);
	assert_int_equal(issue_quota_whole(one).burst, 300);
	assert_int_equal(count(t, n, LIMIT_DOMAIN), 3);
	assert_non_null(find(t, n, "ca:domain:example.com"));
	assert_non_null(find(t, n, "ca:domain:example.co.uk"));
	assert_non_null(find(t, n, "ca:domain:a.github.io"));
	assert_int_equal(count(t, n, LIMIT_DUPLICATES), 1);
	one = find(t, n, "ca:failed:*.example.com");
	assert_non_null(one);
	assert_int_equal(one->item.cost, 0);
	assert_int_equal(one->item.burst, 4);
	issue_quota_items_free(t, n);
}

static void renewals_touch_what_the_ca_counts(void **state)
{
	struct quota_order o = order();
	struct quota_touch *t;
	size_t n;

	(void)state;
	o.renewal = true;
	t = issue_quota_items(&o, &n);
	assert_int_equal(find(t, n, "ca:new_orders")->item.burst, 300);
	issue_quota_items_free(t, n);
	o.same_set = true;
	t = issue_quota_items(&o, &n);
	assert_int_equal(n, 1 + 4);
	assert_int_equal(count(t, n, LIMIT_DUPLICATES), 1);
	issue_quota_items_free(t, n);
	o.ari = true;
	assert_null(issue_quota_items(&o, &n));
	assert_int_equal(n, 0);
}

static void no_limits_no_items(void **state)
{
	static const struct config_limits none;
	struct quota_order o = order();
	struct config_limits one = {.failed_authorizations = {1, 1000}};
	struct quota_touch *t;
	size_t n;

	(void)state;
	o.limits = &none;
	assert_null(issue_quota_items(&o, &n));
	assert_int_equal(n, 0);
	o.limits = &one;
	t = issue_quota_items(&o, &n);
	assert_int_equal(n, 4);
	assert_int_equal(t[0].item.burst, 1);
	assert_int_equal(t[0].item.period_ms, 1);
	assert_int_equal(issue_quota_whole(t).period_ms, 1000);
	issue_quota_items_free(t, n);
}

static char *set_key(const char *const *list, size_t n_names)
{
	struct config_limits sets = {.duplicates = {5, 7 * CLOCK_DAY_MS}};
	struct quota_order o = {
		.authority = "ca", .limits = &sets, .names = list, .names_n = n_names};
	size_t n;
	struct quota_touch *t = issue_quota_items(&o, &n);
	char *key = strdup(t[0].item.key);

	assert_int_equal(n, 1);
	issue_quota_items_free(t, n);
	return key;
}

static void a_set_is_known_in_any_order(void **state)
{
	static const char *const ab[] = {"a.example.com", "b.example.com"};
	static const char *const ba[] = {"b.example.com", "a.example.com"};
	char *one = set_key(ab, 2), *two = set_key(ba, 2), *less = set_key(ab, 1);

	(void)state;
	assert_string_equal(one, two);
	assert_string_not_equal(one, less);
	free(one);
	free(two);
	free(less);
}

static void exemptions_are_the_cas(void **state)
{
	struct quota_order o = order();
	struct endpoint e = {.has_cert = true};

	(void)state;
	snprintf(e.cert.authority, sizeof e.cert.authority, "ca");
	e.cert.issued_ms = NOW - 60 * CLOCK_DAY_MS;
	e.cert.wanted = endpoint_wanted(&e.config);
	e.cert.ari_start_ms = NOW;
	e.cert.ari_end_ms = NOW + 1000;
	issue_quota_exempt(&o, &e, true, false, NOW);
	assert_true(o.same_set && o.ari);
	issue_quota_exempt(&o, &e, true, false, NOW + 1000);
	assert_true(o.same_set &&
		    !o.ari); /* after its window: a window in the past exempts from nothing */
	issue_quota_exempt(&o, &e, false, true, NOW);
	assert_false(o.same_set || o.ari); /* some names are left out */
	issue_quota_exempt(&o, &e, false, false, NOW + 61 * CLOCK_DAY_MS);
	assert_false(o.same_set);
	e.cert.wanted++;
	issue_quota_exempt(&o, &e, false, false, NOW);
	assert_false(o.same_set);
	e.cert.wanted--;
	o.authority = "other";
	issue_quota_exempt(&o, &e, true, false, NOW);
	assert_false(o.same_set || o.ari);
}

static void the_cas_words_name_the_limit(void **state)
{
	struct quota_order o = order();
	size_t n;
	struct quota_touch *t = issue_quota_items(&o, &n);
	const struct quota_touch *b;

	(void)state;
	b = issue_quota_blamed(t, n,
		"too many new orders (300) from this account in the last 3h0m0s, retry after …");
	assert_string_equal(b->item.key, "ca:new_orders");
	b = issue_quota_blamed(t, n,
		"too many certificates (50) already issued for \"example.co.uk\" in the last …");
	assert_string_equal(b->item.key, "ca:domain:example.co.uk");
	b = issue_quota_blamed(t, n,
		"too many certificates (5) already issued for this exact set of identifiers in …");
	assert_int_equal(b->limit, LIMIT_DUPLICATES);
	b = issue_quota_blamed(
		t, n, "too many failed authorizations (5) for \"example.com\" in the last 1h0m0s");
	assert_string_equal(b->item.key, "ca:failed:example.com");
	assert_null(issue_quota_blamed(
		t, n, "too many failed authorizations (5) for \"x.test\" in the last 1h0m0s"));
	assert_null(issue_quota_blamed(t, n, "Service busy; retry later."));
	assert_null(issue_quota_blamed(NULL, 0, "too many new orders"));
	issue_quota_items_free(t, n);
}

static void people_read_which_limit(void **state)
{
	struct quota_order o = order();
	size_t n;
	struct quota_touch *t = issue_quota_items(&o, &n);
	char text[193];

	(void)state;
	issue_quota_text(find(t, n, "ca:new_orders"), "ca", text, sizeof text);
	assert_string_equal(text, "ca allows 300 new orders in 3h");
	issue_quota_text(find(t, n, "ca:domain:example.com"), "ca", text, sizeof text);
	assert_string_equal(text, "ca allows 50 certificates for example.com in 7d");
	issue_quota_items_free(t, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_order_touches_all),
		cmocka_unit_test(renewals_touch_what_the_ca_counts),
		cmocka_unit_test(no_limits_no_items),
		cmocka_unit_test(a_set_is_known_in_any_order),
		cmocka_unit_test(exemptions_are_the_cas),
		cmocka_unit_test(the_cas_words_name_the_limit),
		cmocka_unit_test(people_read_which_limit),
	};

	return cmocka_run_group_tests_name("issue_quota_items", tests, NULL, NULL);
}
