#include "common/redis_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

static const char *last_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	return reason ? reason : "no reason given";
}

static int load_trust(SSL_CTX *ctx, const struct redis_options *o, struct why *why)
{
	if (!o->tls_ca_file)
		return SSL_CTX_set_default_verify_paths(ctx) == 1
			       ? 0
			       : why_set(why, CF_ECRYPTO, "the system's CA certificates: %s",
					 last_reason());
	if (SSL_CTX_load_verify_file(ctx, o->tls_ca_file) != 1)
		return why_set(
			why, CF_ECRYPTO, "redis.tls.ca_file %s: %s", o->tls_ca_file, last_reason());
	return 0;
}

static int load_identity(SSL_CTX *ctx, const struct redis_options *o, struct why *why)
{
	if (!o->tls_cert_file)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ctx, o->tls_cert_file) != 1)
		return why_set(why, CF_ECRYPTO, "redis.tls.cert_file %s: %s", o->tls_cert_file,
			last_reason());
	if (SSL_CTX_use_PrivateKey_file(ctx, o->tls_key_file ? o->tls_key_file : o->tls_cert_file,
		    SSL_FILETYPE_PEM) != 1)
		return why_set(why, CF_ECRYPTO, "redis.tls.key_file %s: %s",
			o->tls_key_file ? o->tls_key_file : o->tls_cert_file, last_reason());
	return 0;
}

int redis_tls_context(const struct redis_options *o, SSL_CTX **out, struct why *why)
{
	SSL_CTX *ctx;
	int err;

	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		return why_set(why, CF_ECRYPTO, "TLS cannot be set up: %s", last_reason());
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	err = load_trust(ctx, o, why);
	if (!err)
		err = load_identity(ctx, o, why);
	if (err) {
		SSL_CTX_free(ctx);
		return err;
	}
	*out = ctx;
	return 0;
}

static bool is_ip(const char *host)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* hiredis alone checks the chain but not whose certificate it is. */
SSL *redis_tls_session(SSL_CTX *ctx, const struct redis_options *o)
{
	SSL *ssl = SSL_new(ctx);
	const char *host = o->host ? o->host : "localhost";
	bool ok;

	if (!ssl)
		return NULL;
	if (is_ip(host))
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	else
		ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
	if (!ok) {
		SSL_free(ssl);
		return NULL;
	}
	ERR_clear_error();
	return ssl;
}

int redis_tls_why(SSL *ssl, const struct redis_options *o, struct why *why)
{
	long verify = SSL_get_verify_result(ssl);
	unsigned long e = ERR_peek_last_error();

	if (verify == X509_V_ERR_HOSTNAME_MISMATCH || verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return why_set(why, CF_ECONN, "its TLS certificate is not for \"%s\"", o->host);
	if (verify != X509_V_OK)
		return why_set(why, CF_ECONN,
			"its TLS certificate is not trusted (%s): check redis.tls.ca_file",
			X509_verify_cert_error_string(verify));
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_WRONG_VERSION_NUMBER)
		return why_set(why, CF_ECONN, "it does not speak TLS on this port: try redis://");
	return why_set(why, CF_ECONN, "the TLS handshake failed: %s",
		e ? last_reason() : "it closed the connection");
}
