#include "common/addr.h"

#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text, *expected; /* NULL: refused */
	} rows[] = {
		{"192.0.2.1", "192.0.2.1:53"},
		{"192.0.2.1:5353", "192.0.2.1:5353"},
		{"192.0.2.1:0", "192.0.2.1:0"},
		{"2001:db8::1", "[2001:db8::1]:53"},
		{"[2001:db8::1]", "[2001:db8::1]:53"},
		{"[2001:db8::1]:5353", "[2001:db8::1]:5353"},
		{"::", "[::]:53"},
		{"", NULL},
		{"192.0.2", NULL},
		{"192.0.2.1:", NULL},
		{"192.0.2.1:65536", NULL},
		{"192.0.2.1:x", NULL},
		{"[192.0.2.1]:53", NULL},
		{"[::1", NULL},
		{"[::1]53", NULL},
		{"example.com:53", NULL},
		{"[]:53", NULL},
		{"fe80::1%eth0", NULL},
	};
	struct addr a;
	struct why why;
	char text[ADDR_TEXT_SIZE];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = addr_parse(rows[i].text, 53, &a, &why);
		assert_int_equal(err, rows[i].expected ? 0 : CF_EINVAL);
		if (!err)
			assert_string_equal(addr_format(&a, text), rows[i].expected);
	}
	assert_int_equal(addr_parse("192.0.2.1", 0, &a, &why), CF_EINVAL);
	assert_non_null(strstr(why.text, "a port is missing"));
}

static void test_split(void **state)
{
	char host[ADDR_HOST_SIZE], big[300];
	uint16_t port;
	struct why why;
	(void)state;

	assert_int_equal(addr_split("redis.example:6380", 6379, host, &port, &why), 0);
	assert_string_equal(host, "redis.example");
	assert_int_equal(port, 6380);
	assert_int_equal(addr_split("redis.example", 6379, host, &port, &why), 0);
	assert_int_equal(port, 6379);
	assert_int_equal(addr_split("[::1]:80", 6379, host, &port, &why), 0);
	assert_string_equal(host, "::1");
	assert_int_equal(addr_split(":80", 1, host, &port, &why), CF_EINVAL);
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(addr_split(big, 1, host, &port, &why), CF_EINVAL);
}

static void test_unsafe(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{"8.8.8.8", NULL},
		{"1.1.1.1", NULL},
		{"172.15.255.255", NULL},
		{"172.32.0.0", NULL},
		{"100.63.255.255", NULL},
		{"0.0.0.0", "unspecified"},
		{"0.1.2.3", "unspecified"},
		{"10.255.0.1", "private"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.168.1.1", "private"},
		{"100.64.0.1", "shared"},
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "loopback"},
		{"169.254.1.1", "link-local"},
		{"169.254.169.254", "metadata"},
		{"168.63.129.16", "metadata"},
		{"100.100.100.200", "metadata"},
		{"192.0.2.9", "documentation"},
		{"198.51.100.9", "documentation"},
		{"203.0.113.9", "documentation"},
		{"198.19.0.1", "reserved"},
		{"224.0.0.1", "multicast"},
		{"240.0.0.1", "reserved"},
		{"255.255.255.255", "reserved"},
		{"2606:4700::1111", NULL},
		{"2a00:1450::1", NULL},
		{"::", "unspecified"},
		{"::1", "loopback"},
		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:8.8.8.8", "embedded"},
		{"::10.0.0.1", "private"},
		{"64:ff9b::8.8.8.8", NULL},
		{"64:ff9b::169.254.169.254", "metadata"},
		{"64:ff9b:1::1", "private"},
		{"2002:7f00:1::", "loopback"},
		{"2002:808:808::1", NULL},
		{"2001:0:808:808::1", "embedded"},
		{"2001:db8::1", "documentation"},
		{"2001:2::1", "reserved"},
		{"3fff::1", "documentation"},
		{"fd00:ec2::254", "metadata"},
		{"fd12::1", "private"},
		{"fe80::1", "link-local"},
		{"febf::1", "link-local"},
		{"fec0::1", "private"},
		{"ff02::1", "multicast"},
		{"100::1", "reserved"},
		{"4000::1", "reserved"},
	};
	struct addr a;
	struct why why;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse(rows[i].text, 80, &a, &why), 0);
		if (!str_eq(addr_unsafe(&a), rows[i].word))
			fail_msg("%s is %s, not %s", rows[i].text, addr_unsafe(&a), rows[i].word);
	}
	assert_string_equal(addr_unsafe(&(struct addr){0}), "unspecified");
}

static bool in_range(const char *range, const char *text)
{
	struct addr_range r;
	struct addr a;

	assert_int_equal(addr_range_parse(range, &r, NULL), 0);
	assert_int_equal(addr_parse(text, 53, &a, NULL), 0);
	return addr_range_has(&r, &a);
}

static void test_ranges(void **state)
{
	struct addr_range r;
	struct why why;
	(void)state;

	assert_true(in_range("10.0.0.0/8", "10.9.8.7"));
	assert_false(in_range("10.0.0.0/8", "11.0.0.0"));
	assert_true(in_range("10.0.0.1", "10.0.0.1"));
	assert_false(in_range("10.0.0.1", "10.0.0.2"));
	assert_true(in_range("0.0.0.0/0", "8.8.8.8"));
	assert_false(in_range("0.0.0.0/0", "::1"));
	assert_true(in_range("fd00::/9", "fd12::1"));
	assert_false(in_range("fd00::/9", "fd80::1"));
	assert_true(in_range("::1/128", "::1"));
	assert_int_equal(addr_range_parse("10.0.0.1/8", &r, &why), CF_EINVAL);
	assert_int_equal(addr_range_parse("10.0.0.0/33", &r, &why), CF_EINVAL);
	assert_int_equal(addr_range_parse("10.0.0.0/", &r, &why), CF_EINVAL);
	assert_int_equal(addr_range_parse("host/8", &r, &why), CF_EINVAL);
}

static void test_equal_and_sockets(void **state)
{
	struct addr a, b, c;
	struct why why;
	char text[ADDR_TEXT_SIZE];
	(void)state;

	assert_int_equal(addr_parse("127.0.0.1:0", 0, &a, &why), 0);
	int udp = addr_bind_udp(&a, false, &why);
	int tcp = addr_listen_tcp(&a, true, &why);
	assert_true(udp >= 0 && tcp >= 0);
	assert_int_equal(addr_of_socket(tcp, &b), 0);
	assert_true(addr_port(&b) != 0);
	assert_true(addr_equal_host(&a, &b));
	assert_false(addr_equal(&a, &b));
	int again = addr_listen_tcp(&b, true, &why);
	assert_true(again >= 0);
	assert_int_equal(addr_listen_tcp(&b, false, &why), CF_EIO);
	assert_non_null(strstr(why.text, addr_format(&b, text)));
	assert_int_equal(addr_from_sockaddr(&b.sa, &c), 0);
	assert_true(addr_equal(&b, &c));
	close(udp);
	close(tcp);
	close(again);
	assert_string_equal(addr_format_host(&(struct addr){0}, text), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_unsafe),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_equal_and_sockets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
