#include "common/vault.h"

#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE       "cf:{t}:e:1 ep1"
#define HEX_A       "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64_A    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HEX_B       "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define BASE64_C    "+/8vLz8/+/8vLz8/+/8vLz8/+/8vLz8/+/8vLz8/+/8"
#define BASE64URL_C "-_8vLz8_-_8vLz8_-_8vLz8_-_8vLz8_-_8vLz8_-_8"

static char folder[] = "/tmp/certfleet-vault-XXXXXX";
static char path_a[128], path_b[128];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path_a, sizeof path_a, "%s/a.key", folder);
	snprintf(path_b, sizeof path_b, "%s/b.key", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path_a);
	unlink(path_b);
	return rmdir(folder);
}

static void put_bytes(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static struct vault *open_both(const char *accounts, const char *certificates)
{
	struct vault *v = NULL;
	struct why why = {""};

	if (vault_open(accounts, certificates, &v, &why))
		fail_msg("%s", why.text);
	return v;
}

static void assert_opens(
	struct vault *v, enum vault_wrap wrap, const struct buf *blob, const char *plain)
{
	_buf_release_secret_ struct buf out = BUF_INIT(VAULT_PLAIN_MAX);

	assert_int_equal(vault_unseal(v, wrap, PLACE, blob->data, blob->len, &out), 0);
	assert_int_equal(out.len, strlen(plain));
	assert_memory_equal(buf_cstr(&out), plain, out.len);
}

static void assert_refuses(
	struct vault *v, enum vault_wrap wrap, const char *place, const struct buf *blob, int err)
{
	_buf_release_secret_ struct buf out = BUF_INIT(VAULT_PLAIN_MAX);

	assert_int_equal(vault_unseal(v, wrap, place, blob->data, blob->len, &out), err);
	assert_int_equal(out.len, 0);
}

static void test_round_trip(void **state)
{
	_buf_release_ struct buf one = BUF_INIT(1000), two = BUF_INIT(1000), empty = BUF_INIT(1000);
	struct vault *v;

	(void)state;
	put(path_a, HEX_A "\n");
	v = open_both(path_a, path_a);
	assert_int_equal(vault_seal(v, VAULT_CERTIFICATES, PLACE, "a secret", 8, &one), 0);
	assert_int_equal(vault_seal(v, VAULT_CERTIFICATES, PLACE, "a secret", 8, &two), 0);
	assert_int_equal(one.len, 8 + VAULT_OVERHEAD);
	assert_memory_not_equal(one.data, two.data, one.len); /* a fresh nonce */
	assert_opens(v, VAULT_CERTIFICATES, &one, "a secret");
	assert_int_equal(vault_seal(v, VAULT_ACCOUNTS, PLACE, NULL, 0, &empty), 0);
	assert_int_equal(empty.len, VAULT_OVERHEAD);
	assert_opens(v, VAULT_ACCOUNTS, &empty, "");
	vault_close(v);
}

/* Made by another implementation (Python's cryptography) from the description in vault.h. */
static void test_vectors(void **state)
{
	static const struct {
		enum vault_wrap wrap;
		const char *hex;
	} cases[] = {
		{VAULT_ACCOUNTS,
			"0101e074a246000102030405060708090a0b4e25c694be5244d6c495c84b0b8644c0"
			"7d9d2e43b6343e02"},
		{VAULT_CERTIFICATES,
			"01021846ae62000102030405060708090a0b20609c8a47371e70e13dc1a6908eda2a"
			"6572a1b76d675f24"},
	};
	struct vault *v;

	(void)state;
	put(path_a, HEX_A);
	v = open_both(path_a, path_a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_buf_release_ struct buf blob = BUF_INIT(100);
		char *room = buf_room(&blob, 42);

		assert_int_equal(str_unhex(cases[i].hex, room, 42), 0);
		buf_took(&blob, 42);
		assert_opens(v, cases[i].wrap, &blob, "a secret");
	}
	vault_close(v);
}

static void test_a_moved_or_changed_blob_does_not_open(void **state)
{
	_buf_release_ struct buf blob = BUF_INIT(1000);
	struct vault *v;

	(void)state;
	put(path_a, HEX_A);
	v = open_both(path_a, path_a);
	assert_int_equal(vault_seal(v, VAULT_CERTIFICATES, PLACE, "a secret", 8, &blob), 0);
	assert_refuses(v, VAULT_CERTIFICATES, "cf:{t}:e:1 ep2", &blob, CF_EAUTH);
	assert_refuses(v, VAULT_CERTIFICATES, "", &blob, CF_EAUTH);
	assert_refuses(v, VAULT_ACCOUNTS, PLACE, &blob, CF_EPROTO);
	for (size_t i = 0; i < blob.len; i++) {
		blob.data[i] ^= 1;
		assert_refuses(v, VAULT_CERTIFICATES, PLACE, &blob, i < 2 ? CF_EPROTO : CF_EAUTH);
		blob.data[i] ^= 1;
	}
	/* Said to be of the other wrap, it lacks that wrap's key id and name. */
	blob.data[1] = VAULT_ACCOUNTS;
	assert_refuses(v, VAULT_ACCOUNTS, PLACE, &blob, CF_EAUTH);
	blob.data[1] = VAULT_CERTIFICATES;
	for (size_t n = blob.len; n-- > 0;) {
		struct buf cut = {.data = blob.data, .len = n};

		assert_refuses(v, VAULT_CERTIFICATES, PLACE, &cut,
			n < VAULT_OVERHEAD ? CF_EPROTO : CF_EAUTH);
	}
	vault_close(v);
}

static void test_wraps_are_separate(void **state)
{
	_buf_release_ struct buf blob = BUF_INIT(1000), nothing = BUF_INIT(1000);
	struct vault *both, *edge, *none;

	(void)state;
	put(path_a, HEX_A);
	both = open_both(path_a, path_a);
	edge = open_both(NULL, path_a);
	none = open_both(NULL, NULL);
	assert_int_equal(vault_seal(both, VAULT_ACCOUNTS, PLACE, "x", 1, &blob), 0);
	assert_refuses(edge, VAULT_ACCOUNTS, PLACE, &blob, CF_EAUTH);
	assert_int_equal(vault_seal(edge, VAULT_ACCOUNTS, PLACE, "x", 1, &nothing), CF_EAUTH);
	assert_int_equal(vault_seal(none, VAULT_CERTIFICATES, PLACE, "x", 1, &nothing), CF_EAUTH);
	assert_int_equal(nothing.len, 0);
	vault_close(both);
	vault_close(edge);
	vault_close(none);
	vault_close(NULL);
}

static void test_rotation(void **state)
{
	_buf_release_ struct buf old = BUF_INIT(1000), new = BUF_INIT(1000);
	struct vault *before, *during, *after;

	(void)state;
	put(path_a, HEX_A "\n");
	before = open_both(path_a, path_a);
	put(path_a, "# new first\n" HEX_B "\n\n  " BASE64_A "\r\n");
	during = open_both(path_a, path_a);
	put(path_a, HEX_B);
	after = open_both(path_a, path_a);
	assert_int_equal(vault_seal(before, VAULT_CERTIFICATES, PLACE, "old", 3, &old), 0);
	assert_int_equal(vault_seal(during, VAULT_CERTIFICATES, PLACE, "new", 3, &new), 0);
	assert_opens(during, VAULT_CERTIFICATES, &old, "old");
	assert_opens(during, VAULT_CERTIFICATES, &new, "new");
	assert_opens(after, VAULT_CERTIFICATES, &new, "new");
	assert_refuses(after, VAULT_CERTIFICATES, PLACE, &old, CF_EAUTH);
	assert_refuses(before, VAULT_CERTIFICATES, PLACE, &new, CF_EAUTH);
	assert_false(vault_is_current(during, VAULT_CERTIFICATES, old.data, old.len));
	assert_true(vault_is_current(during, VAULT_CERTIFICATES, new.data, new.len));
	assert_false(vault_is_current(during, VAULT_ACCOUNTS, new.data, new.len));
	vault_close(before);
	vault_close(during);
	vault_close(after);
}

static void test_limits(void **state)
{
	_buf_release_ struct buf blob = BUF_INIT(VAULT_PLAIN_MAX + VAULT_OVERHEAD),
				 small = BUF_INIT(40);
	_mem_free_ char *plain = mem_zalloc(VAULT_PLAIN_MAX + 1);
	_buf_release_secret_ struct buf out = BUF_INIT(VAULT_PLAIN_MAX), tiny = BUF_INIT(10);
	struct vault *v;

	(void)state;
	put(path_a, HEX_A);
	v = open_both(path_a, path_a);
	assert_int_equal(vault_seal(v, VAULT_ACCOUNTS, PLACE, plain, VAULT_PLAIN_MAX + 1, &blob),
		CF_ETOOBIG);
	assert_int_equal(vault_seal(v, VAULT_ACCOUNTS, PLACE, plain, 8, &small), CF_ETOOBIG);
	assert_int_equal(blob.len, 0);
	assert_int_equal(vault_seal(v, VAULT_ACCOUNTS, PLACE, plain, VAULT_PLAIN_MAX, &blob), 0);
	assert_int_equal(vault_unseal(v, VAULT_ACCOUNTS, PLACE, blob.data, blob.len, &out), 0);
	assert_int_equal(out.len, VAULT_PLAIN_MAX);
	assert_int_equal(
		vault_unseal(v, VAULT_ACCOUNTS, PLACE, blob.data, blob.len, &tiny), CF_ETOOBIG);
	vault_close(v);
}

static void test_canary(void **state)
{
	_buf_release_ struct buf canary = BUF_INIT(1000), moved = BUF_INIT(1000);
	struct vault *right, *wrong;
	struct why why = {""};

	(void)state;
	put(path_a, HEX_A);
	put(path_b, HEX_B);
	right = open_both(path_a, path_a);
	wrong = open_both(path_b, path_b);
	assert_int_equal(vault_canary_make(right, VAULT_ACCOUNTS, &canary), 0);
	assert_int_equal(
		vault_canary_check(right, VAULT_ACCOUNTS, canary.data, canary.len, &why), 0);
	assert_int_equal(
		vault_canary_check(wrong, VAULT_ACCOUNTS, canary.data, canary.len, &why), CF_EAUTH);
	assert_string_equal(why.text,
		"the accounts key is not the one that this fleet's accounts were sealed with");
	assert_int_equal(
		vault_canary_check(right, VAULT_CERTIFICATES, canary.data, canary.len, &why),
		CF_EPROTO);
	assert_int_equal(vault_canary_check(right, VAULT_ACCOUNTS, "", 0, &why), CF_EPROTO);
	assert_int_equal(vault_seal(right, VAULT_ACCOUNTS, "canary", "other", 5, &moved), 0);
	assert_int_equal(
		vault_canary_check(right, VAULT_ACCOUNTS, moved.data, moved.len, &why), CF_EPROTO);
	vault_close(right);
	vault_close(wrong);
}

static void test_key_files(void **state)
{
	static const char *const forms[] = {HEX_A, HEX_A "\n", "  " HEX_A " \r\n", BASE64_A "\n",
		"#c\n\n" BASE64_A "\n" HEX_B "\n"};
	uint8_t expected[32], key[32], raw[33];

	(void)state;
	assert_int_equal(str_unhex(HEX_A, expected, 32), 0);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		put(path_a, forms[i]);
		assert_int_equal(vault_read_key_file(path_a, key, NULL), 0);
		assert_memory_equal(key, expected, 32);
	}
	put_bytes(path_a, expected, 32);
	assert_int_equal(vault_read_key_file(path_a, key, NULL), 0);
	assert_memory_equal(key, expected, 32);
	/* Either alphabet. */
	put(path_a, BASE64_C);
	assert_int_equal(vault_read_key_file(path_a, raw, NULL), 0);
	put(path_a, BASE64URL_C);
	assert_int_equal(vault_read_key_file(path_a, key, NULL), 0);
	assert_memory_equal(key, raw, 32);
}

static void test_key_files_refused(void **state)
{
	static const struct {
		const char *text, *why;
		int err;
	} bad[] = {
		{"", "is empty", CF_EINVAL},
		{"\n#x\n", "holds no key", CF_EINVAL},
		{"short\n", ":1: a key of 32 bytes is expected", CF_EINVAL},
		{HEX_A "0\n", ":1: a key of 32 bytes", CF_EINVAL},
		{HEX_A "\n\nxyz\n", ":3: a key of 32 bytes", CF_EINVAL},
		{"0000000000000000000000000000000000000000000000000000000000000000\n", "the same",
			CF_EINVAL},
		{HEX_A "\n" HEX_A "\n" HEX_A "\n" HEX_A "\n" HEX_A "\n" HEX_A "\n" HEX_A "\n" HEX_A
		       "\n" HEX_A "\n",
			":9: at most 8 keys", CF_ETOOBIG},
	};
	struct vault *v = NULL;
	char zeros[32] = "", large[5000];
	uint8_t key[32] = "untouched";
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(path_a, bad[i].text);
		assert_int_equal(vault_read_key_file(path_a, key, &why), bad[i].err);
		if (!strstr(why.text, bad[i].why) || !str_starts_with(why.text, path_a))
			fail_msg("%s", why.text);
		/* What was in the file is not said. */
		assert_null(strstr(why.text, "0001"));
		assert_int_equal(vault_open(path_a, NULL, &v, &why), bad[i].err);
		assert_int_equal(vault_open(NULL, path_a, &v, &why), bad[i].err);
	}
	put_bytes(path_a, zeros, sizeof zeros);
	assert_int_equal(vault_read_key_file(path_a, key, &why), CF_EINVAL);
	memset(large, 'x', sizeof large);
	put_bytes(path_a, large, sizeof large);
	assert_int_equal(vault_read_key_file(path_a, key, &why), CF_ETOOBIG);
	assert_int_equal(vault_read_key_file("/nonexistent", key, &why), CF_ENOTFOUND);
	assert_string_equal((const char *)key, "untouched");
	assert_null(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_a_moved_or_changed_blob_does_not_open),
		cmocka_unit_test(test_wraps_are_separate),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_canary),
		cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_key_files_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
