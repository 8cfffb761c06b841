/* fleet_aid.c - see fleet_aid.h. */
#include "tests/unit/scheduler/cli/fleet_aid.h"

#include "common/certificate.h"
#include "common/clock.h"
#include "common/keypair.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/vault.h"
#include "scheduler/cli/cli.h"
#include "tests/unit/testca.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ARGS_MAX 32

static void write_file(struct fleet_aid *f, const char *name, const char *text)
{
	_mem_free_ char *path = mem_printf("%s/%s", f->folder, name);
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, 0600), 0);
}

static void write_config(struct fleet_aid *f)
{
	_mem_free_ char *text = mem_printf("fleet: test\n"
					   "redis: { url: redis://127.0.0.1:%u/0, timeout: 1s }\n"
					   "vault:\n"
					   "  accounts_key_file: %s/accounts.key\n"
					   "  certificates_key_file: %s/certificates.key\n"
					   "authorities:\n"
					   "  - name: testca\n"
					   "    directory: https://ca.example/directory\n"
					   "    terms_of_service_agreed: true\n"
					   "challenges:\n"
					   "  zones: [acme.platform.example]\n"
					   "  label_key_file: %s/label.key\n",
		redis_server_port(f->server), f->folder, f->folder, f->folder);

	write_file(f, "certfleet.yaml", text);
	write_file(f, "accounts.key",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
	write_file(f, "certificates.key",
		"ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
	write_file(f, "label.key",
		"aa112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
}

struct fleet_aid *fleet_aid_new(void)
{
	struct fleet_aid *f = mem_zalloc(sizeof *f);
	char folder[] = "/tmp/certfleet-cli-XXXXXX";

	f->server = redis_server_start(NULL);
	redis_server_options(f->server, &f->options);
	assert_int_equal(redis_sync_open(&f->options, &f->redis, NULL), 0);
	f->folder = mem_strdup(mkdtemp(folder));
	f->config = mem_printf("%s/certfleet.yaml", f->folder);
	write_config(f);
	return f;
}

void fleet_aid_free(struct fleet_aid *f)
{
	_mem_free_ char *command = mem_printf("rm -rf %s", f->folder);

	redis_sync_close(f->redis);
	redis_server_stop(f->server);
	assert_int_equal(system(command), 0);
	free(f->folder);
	free(f->config);
	free(f->out);
	free(f->err);
	free(f);
}

int fleet_aid_run(struct fleet_aid *f, ...)
{
	char *argv[ARGS_MAX] = {
		(char *)(uintptr_t) "certfleet", (char *)(uintptr_t) "-c", f->config};
	int argc = 3;
	size_t n;
	va_list ap;

	va_start(ap, f);
	for (char *arg; (arg = va_arg(ap, char *)) != NULL && argc < ARGS_MAX - 1;)
		argv[argc++] = arg;
	va_end(ap);
	free(f->out);
	free(f->err);
	FILE *out = open_memstream(&f->out, &n);
	FILE *err = open_memstream(&f->err, &n);
	int status = cli_main(argc, argv, out, err);
	fclose(out);
	fclose(err);
	return status;
}

void fleet_aid_redis(struct fleet_aid *f, ...)
{
	const char *argv[ARGS_MAX];
	char *keys[ARGS_MAX] = {NULL};
	struct why why = {0};
	size_t argc = 0;
	va_list ap;

	va_start(ap, f);
	for (const char *arg; (arg = va_arg(ap, const char *)) != NULL; argc++) {
		if (arg[0] == '@')
			arg = keys[argc] = mem_printf("cf:{test}:%s", arg + 1);
		argv[argc] = arg;
	}
	va_end(ap);
	int err = redis_sync_command(f->redis, NULL, &why, argc, argv, NULL);
	if (err != 0)
		fail_msg("%s: %s", argv[0], why.text);
	for (size_t i = 0; i < argc; i++)
		free(keys[i]);
}

void fleet_aid_field(
	struct fleet_aid *f, const char *id, const char *field, const void *bytes, size_t n)
{
	_mem_free_ char *key = mem_printf("cf:{test}:e:%s", id);
	const char *argv[] = {"HSET", key, field, bytes};
	size_t lens[] = {4, strlen(key), strlen(field), n};

	assert_int_equal(redis_sync_command(f->redis, NULL, NULL, 4, argv, lens), 0);
}

void fleet_aid_endpoint(struct fleet_aid *f, const char *id, const char *tenant)
{
	_buf_release_ struct buf packed = BUF_INIT(65536);
	_mem_free_ char *key = mem_printf("@e:%s", id);
	struct endpoint_config c = {.type = ENDPOINT_INTERNAL,
		.key_type = KEY_P256,
		.names_n = 1,
		.created_ms = clock_wall_ms()};

	snprintf(c.id, sizeof c.id, "%s", id);
	snprintf(c.tenant, sizeof c.tenant, "%s", tenant);
	c.names = mem_zalloc(sizeof *c.names);
	snprintf(c.names[0], NAME_SIZE, "%s", id);
	assert_int_equal(endpoint_config_encode(&c, &packed), 0);
	fleet_aid_field(f, id, "c", packed.data, packed.len);
	fleet_aid_redis(f, "HSET", key, "g", "1", "n", tenant, NULL);
	fleet_aid_redis(f, "ZADD", "@endpoints", "0", id, NULL);
	endpoint_config_release(&c);
}

static void der_of(X509 *x, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	assert_true(n > 0);
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
}

static void store_chain(struct fleet_aid *f, X509 *ca, const char *sha)
{
	_buf_release_ struct buf der = BUF_INIT(65536);
	_buf_release_ struct buf rest = BUF_INIT(65536);
	_mem_free_ char *key = mem_printf("cf:{test}:chain:%s", sha);

	der_of(ca, &der);
	struct chain_cert certs[2] = {{.der = (unsigned char *)der.data, .len = der.len},
		{.der = (unsigned char *)der.data, .len = der.len}};
	struct chain chain = {.certs = certs, .n = 2};
	assert_int_equal(chain_pack_rest(&chain, &rest), 0);
	const char *argv[] = {"SET", key, rest.data};
	size_t lens[] = {3, strlen(key), rest.len};
	assert_int_equal(redis_sync_command(f->redis, NULL, NULL, 3, argv, lens), 0);
}

static void store_key(struct fleet_aid *f, const char *id, EVP_PKEY *key)
{
	_mem_free_ char *path = mem_printf("%s/certificates.key", f->folder);
	_buf_release_secret_ struct buf packed = BUF_INIT(VAULT_PLAIN_MAX);
	_buf_release_ struct buf sealed = BUF_INIT(65536);
	char place[ENDPOINT_PLACE_SIZE];
	struct vault *vault = NULL;

	assert_int_equal(vault_open(NULL, path, &vault, NULL), 0);
	assert_int_equal(keypair_pack(key, &packed), 0);
	assert_int_equal(vault_seal(vault, VAULT_CERTIFICATES, endpoint_key_place(id, false, place),
				 packed.data, packed.len, &sealed),
		0);
	fleet_aid_field(f, id, "k", sealed.data, sealed.len);
	vault_close(vault);
}

void fleet_aid_certificate(struct fleet_aid *f, const char *id, const char *serial_hex,
	int64_t not_before_ms, EVP_PKEY *other_key)
{
	_buf_release_ struct buf der = BUF_INIT(65536);
	_buf_release_ struct buf packed = BUF_INIT(65536);
	EVP_PKEY *ca_key _keypair_release_ = NULL;
	EVP_PKEY *key _keypair_release_ = NULL;
	struct cert_info info;
	char san[300];

	assert_int_equal(keypair_make(KEY_P256, &ca_key), 0);
	assert_int_equal(keypair_make(KEY_P256, &key), 0);
	snprintf(san, sizeof san, "DNS:%s", id);
	X509 *ca = testca_make(&(struct testca_spec){.cn = "Test CA 1",
		.key = ca_key,
		.ca = 1,
		.not_before_ms = not_before_ms - CLOCK_DAY_MS,
		.not_after_ms = not_before_ms + 1000 * CLOCK_DAY_MS});
	X509 *leaf = testca_make(&(struct testca_spec){.san = san,
		.serial_hex = serial_hex,
		.key = key,
		.issuer = ca,
		.issuer_key = ca_key,
		.not_before_ms = not_before_ms,
		.not_after_ms = not_before_ms + 90 * CLOCK_DAY_MS});
	der_of(leaf, &der);
	assert_int_equal(cert_info_read(der.data, der.len, &info, NULL), 0);
	struct endpoint_cert x = {.der = (unsigned char *)der.data,
		.der_len = der.len,
		.not_before_ms = info.not_before_ms,
		.not_after_ms = info.not_after_ms,
		.issued_ms = not_before_ms,
		.renew_at_ms = not_before_ms + 60 * CLOCK_DAY_MS,
		.key_type = KEY_P256};
	memcpy(x.serial, info.serial, sizeof x.serial);
	snprintf(x.authority, sizeof x.authority, "testca");
	memset(x.chain_sha, 'a', 64);
	store_chain(f, ca, x.chain_sha);
	assert_int_equal(endpoint_cert_encode(&x, &packed), 0);
	fleet_aid_field(f, id, "x", packed.data, packed.len);
	store_key(f, id, other_key ? other_key : key);
	X509_free(leaf);
	X509_free(ca);
}

char *fleet_aid_read(struct fleet_aid *f, const char *name)
{
	_mem_free_ char *path = mem_printf("%s/%s", f->folder, name);
	_buf_release_ struct buf text = BUF_INIT(1u << 20);
	char chunk[4096];
	size_t n;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return mem_strdup("");
	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(&text, chunk, n);
	fclose(file);
	return mem_strdup(buf_cstr(&text));
}

int fleet_aid_setup(void **state)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	*state = fleet_aid_new();
	return 0;
}

int fleet_aid_teardown(void **state)
{
	fleet_aid_free(*state);
	return 0;
}

void fleet_aid_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in:\n%s", part, text);
}
