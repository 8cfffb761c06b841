/* Handshakes with a real TLS server in a process of its own, right and hostile. */
#include "worker/probe/handshake.h"

#include "common/clock.h"
#include "common/keypair.h"
#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/testca.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW        INT64_C(1795000000000)
#define PATIENT_MS 20000

enum manner { SPEAKS, SILENT, CLOSES, TALKS_HTTP, HUGE_CHAIN };

static EVP_PKEY *key;
static X509 *root, *leaf;

struct seen {
	int calls;
	enum handshake_end end;
	size_t n, leaf_len;
	char why[160];
};

static void on_result(void *arg, const struct handshake_result *r)
{
	struct seen *s = arg;

	s->calls++;
	s->end = r->end;
	s->n = r->chain.n;
	s->leaf_len = r->chain.n ? r->chain.certs[0].len : 0;
	memcpy(s->why, r->why, sizeof s->why);
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)arg;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return name && !strcmp(name, "shop.example.com") ? SSL_TLSEXT_ERR_OK
							 : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void speak(int fd, enum manner manner)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	SSL_CTX_use_certificate(ctx, leaf);
	SSL_CTX_use_PrivateKey(ctx, key);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	for (int i = 0; i < (manner == HUGE_CHAIN ? 400 : 1); i++) {
		X509_up_ref(root);
		SSL_CTX_add_extra_chain_cert(ctx, root);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void serve(int listener, enum manner manner)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (manner == SPEAKS || manner == HUGE_CHAIN)
			speak(fd, manner);
		if (manner == TALKS_HTTP)
			(void)!write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
		if (manner != SILENT)
			close(fd);
	}
}

struct world {
	uv_loop_t loop;
	struct handshakes *set;
	struct addr at;
	int listener;
	pid_t server; /* 0: nobody accepts */
};

static bool anywhere(void *arg, const struct addr *a)
{
	(void)arg;
	(void)a;
	return true;
}

static void begin(struct world *w, const struct handshakes_options *options)
{
	struct addr any;

	w->server = 0;
	uv_loop_init(&w->loop);
	w->set = handshakes_new(&w->loop, options);
	assert_non_null(w->set);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &any, NULL), 0);
	w->listener = addr_listen_tcp(&any, false, NULL);
	assert_true(w->listener >= 0);
	addr_of_socket(w->listener, &w->at);
}

static void begin_server(struct world *w, enum manner manner, int64_t timeout_ms)
{
	begin(w, &(struct handshakes_options){.allowed = anywhere, .timeout_ms = timeout_ms});
	fcntl(w->listener, F_SETFL, fcntl(w->listener, F_GETFL) & ~O_NONBLOCK);
	w->server = fork();
	if (!w->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(w->listener, manner);
	}
}

static void end(struct world *w)
{
	handshakes_free(w->set);
	loop_finish(&w->loop);
	if (w->server) {
		kill(w->server, SIGKILL);
		waitpid(w->server, NULL, 0);
	}
	close(w->listener);
}

static void one(struct world *w, const char *name, struct seen *s)
{
	*s = (struct seen){0};
	handshake_start(w->set, &w->at, false, name, on_result, s);
	assert_int_equal(s->calls, 0);
	assert_true(loop_until_count(&w->loop, &s->calls, 1, PATIENT_MS));
}

static void the_chain_comes_as_presented(void **state)
{
	struct world w;
	struct seen s;

	(void)state;
	begin_server(&w, SPEAKS, 0);
	one(&w, "shop.example.com", &s);
	assert_int_equal(s.end, HANDSHAKE_PRESENTED);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.leaf_len, i2d_X509(leaf, NULL));
	one(&w, "other.example.com", &s);
	assert_int_equal(s.end, HANDSHAKE_FAILED);
	assert_non_null(strstr(s.why, "unrecognized name"));
	end(&w);
}

static void who_does_not_speak_tls_fails(void **state)
{
	static const enum manner manners[] = {SILENT, CLOSES, TALKS_HTTP, HUGE_CHAIN};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(manners); i++) {
		struct world w;
		struct seen s;

		begin_server(&w, manners[i], manners[i] == SILENT ? 200 : 0);
		one(&w, "shop.example.com", &s);
		assert_int_equal(s.end, HANDSHAKE_FAILED);
		assert_int_equal(s.n, 0);
		assert_true(s.why[0]);
		end(&w);
	}
}

static void nobody_there_is_unreachable(void **state)
{
	struct world w;
	struct seen s;

	(void)state;
	begin(&w, &(struct handshakes_options){.allowed = anywhere});
	close(w.listener);
	one(&w, "shop.example.com", &s);
	assert_int_equal(s.end, HANDSHAKE_UNREACHABLE);
	w.listener = -1;
	end(&w);
}

static void inner_addresses_get_no_packet(void **state)
{
	static const char *const texts[] = {"127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1",
		"64:ff9b::7f00:1", "::1", "10.0.0.1"};
	struct world w;
	struct seen s;

	(void)state;
	begin(&w, &(struct handshakes_options){0});
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		uint16_t port = addr_port(&w.at);

		assert_int_equal(addr_parse(texts[i], port, &w.at, NULL), 0);
		one(&w, "shop.example.com", &s);
		assert_int_equal(s.end, HANDSHAKE_FORBIDDEN);
	}
	assert_int_equal(accept(w.listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	end(&w);
}

static void so_many_at_once_and_none_after_cancelling(void **state)
{
	struct world w;
	struct seen s = {0}, none = {0};
	struct handshake *all[20];

	(void)state;
	begin(&w, &(struct handshakes_options){.allowed = anywhere, .max = 3, .timeout_ms = 100});
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i] = handshake_start(
			w.set, &w.at, false, "shop.example.com", on_result, i % 2 ? &s : &none);
	for (size_t i = 0; i < ARRAY_LEN(all); i += 2)
		handshake_cancel(all[i]);
	assert_true(loop_until_count(&w.loop, &s.calls, 10, PATIENT_MS));
	assert_int_equal(s.end, HANDSHAKE_FAILED); /* the kernel accepts; nobody speaks */
	assert_int_equal(none.calls, 0);
	handshake_start(w.set, &w.at, true, "shop.example.com", on_result, &none);
	loop_for(&w.loop, 5);
	end(&w);
	assert_int_equal(none.calls, 0);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (keypair_make(KEY_P256, &key))
		return -1;
	root = testca_make(&(struct testca_spec){.cn = "Test Root",
		.key = key,
		.ca = 1,
		.not_before_ms = NOW,
		.not_after_ms = NOW + CLOCK_DAY_MS});
	leaf = testca_make(&(struct testca_spec){.cn = "shop.example.com",
		.san = "DNS:shop.example.com",
		.key = key,
		.issuer = root,
		.issuer_key = key,
		.not_before_ms = NOW,
		.not_after_ms = NOW + CLOCK_DAY_MS});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	X509_free(root);
	X509_free(leaf);
	EVP_PKEY_free(key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_chain_comes_as_presented),
		cmocka_unit_test(who_does_not_speak_tls_fails),
		cmocka_unit_test(nobody_there_is_unreachable),
		cmocka_unit_test(inner_addresses_get_no_packet),
		cmocka_unit_test(so_many_at_once_and_none_after_cancelling),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
