#include "tests/bench/fleet_world.h"

#include "common/certificate.h"
#include "common/clock.h"
#include "common/diagnosis.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/vault.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define BASE_MAX 48 /* bytes of a name without "www." */
#define SHAPES   3
#define TARGET   "ingress.platform.example"
/* Nothing is due while the fleet is being filled in, or it would be filled in for ever. */
#define CALM_MS  (30 * CLOCK_MINUTE_MS)
#define FRESH_MS (24 * CLOCK_MINUTE_MS) /* nine tenths of an hour less that */

static const unsigned char serial_mark[16] = {0x04, 0xce, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
	0xf0, 0x0f, 0xed, 0xcb, 0xa9, 0x87, 0x65};

/* A certificate for names of one length. */
struct template
{
	unsigned char *der;
	size_t len;
};

struct world {
	int64_t now_ms;
	struct vault *vault;
	EVP_PKEY *key, *ca_key;
	X509 *ca;
	struct buf packed_key, chain;
	char chain_sha[65], ari_prefix[64];
	struct template templates[SHAPES][BASE_MAX + 1];
};

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fleet_world: %s\n", what);
	exit(1);
}

/* --- chance, the same each time */

static uint64_t roll(uint64_t i, uint64_t of)
{
	uint64_t z = i * UINT64_C(0x9e3779b97f4a7c15) + of * UINT64_C(0xd1b54a32d192ed03);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static double part(uint64_t i, uint64_t of)
{
	return (double)(roll(i, of) >> 11) / 9007199254740992.0;
}

enum {
	OF_SHAPE,
	OF_WORD,
	OF_WORD2,
	OF_TLD,
	OF_TENANT,
	OF_STATE,
	OF_LIFE,
	OF_AGE,
	OF_LOOK,
	OF_CODE,
	OF_AUTHORITY,
	OF_SERIAL,
	OF_TYPE,
	OF_STABLE
};

/* --- names and tenants */

enum shape { ALONE, WITH_WWW, WILDCARD };

static enum shape shape_of(uint64_t i)
{
	uint64_t r = roll(i, OF_SHAPE) % 10;

	return r < 4 ? WITH_WWW : r < 9 ? ALONE : WILDCARD;
}

static void base_name(uint64_t i, char out[BASE_MAX + 1])
{
	static const char *const words[] = {"cafe", "blue", "nord", "atelier", "green", "alpha",
		"happy", "studio", "river", "lumen", "urban", "delta", "pixel", "maison", "garden",
		"solar", "velo", "praxis", "werk", "casa", "book", "coffee", "yoga", "bike"};
	static const char *const tlds[] = {
		"com", "de", "net", "org", "io", "co.uk", "shop", "fr", "example", "app"};
	const char *a = words[roll(i, OF_WORD) % ARRAY_LEN(words)];
	const char *b = words[roll(i, OF_WORD2) % ARRAY_LEN(words)];
	const char *tld = tlds[roll(i, OF_TLD) % ARRAY_LEN(tlds)];
	uint64_t r = roll(i, OF_SHAPE) % 10;

	if (r == 7 || r == 8)
		snprintf(out, BASE_MAX + 1, "%s-%s-%lu.apps.platform.example", a, b,
			(unsigned long)i);
	else if (r >= 4 && r <= 6)
		snprintf(out, BASE_MAX + 1, "shop.%s-%s-%lu.%s", a, b, (unsigned long)i, tld);
	else
		snprintf(out, BASE_MAX + 1, "%s%s-%lu.%s", a, b, (unsigned long)i, tld);
}

uint64_t world_number(const char *id)
{
	const char *dash = strrchr(id, '-');

	return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

/* One tenant has a tenth, twenty have a fifth, fifty thousand the rest. */
static void tenant_of(uint64_t i, char *out, size_t size)
{
	uint64_t r = roll(i, OF_TENANT);

	if (r % 10 == 0)
		snprintf(out, size, "reseller-one");
	else if (r % 10 < 3)
		snprintf(out, size, "agency-%02lu", (unsigned long)(r / 10 % 20));
	else
		snprintf(out, size, "customer-%05lu", (unsigned long)(r / 10 % 50000));
}

static void set_names(struct endpoint_config *c, enum shape shape, const char *base)
{
	c->names_n = shape == ALONE ? 1 : 2;
	c->names = mem_array(c->names_n, sizeof *c->names);
	snprintf(c->names[shape == WILDCARD], NAME_SIZE, "%s", base);
	if (shape != ALONE)
		snprintf(c->names[shape == WITH_WWW], NAME_SIZE, "%s.%s",
			shape == WILDCARD ? "*" : "www", base);
}

/* --- certificates */

static void add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	require(e && X509_add_ext(x, e, -1), value);
	X509_EXTENSION_free(e);
}

/* As large as two signed certificate timestamps are. */
static void add_timestamps(X509 *x)
{
	char value[2 * 245 + 32] = "DER:0481f200f0";

	for (size_t i = strlen(value); i < 14 + 2 * 240; i += 2)
		snprintf(value + i, 3, "%02x", (unsigned)(i * 37 & 0xff));
	add_extension(x, NID_ct_precert_scts, value);
}

static X509 *new_certificate(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
	const char *san, int days)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	BIGNUM *serial = BN_bin2bn(serial_mark, sizeof serial_mark, NULL);

	require(X509_set_version(x, X509_VERSION_3) && X509_set_pubkey(x, key) &&
			BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) &&
			X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
				(const unsigned char *)cn, -1, -1, 0) &&
			X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) &&
			X509_gmtime_adj(X509_getm_notBefore(x), 0) &&
			X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL),
		"a certificate");
	BN_free(serial);
	add_extension(x, NID_subject_key_identifier, "hash");
	if (san) {
		add_extension(x, NID_subject_alt_name, san);
		add_extension(x, NID_key_usage, "critical,digitalSignature");
		add_extension(x, NID_ext_key_usage, "serverAuth");
		add_extension(x, NID_info_access, "caIssuers;URI:http://e7.i.authority.example/");
		add_extension(
			x, NID_crl_distribution_points, "URI:http://e7.c.authority.example/63.crl");
		add_extension(x, NID_certificate_policies, "DER:300a3008060667810c010201");
		add_timestamps(x);
	} else {
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
	}
	require(X509_sign(x, issuer_key, EVP_sha256()) > 0, "a signature");
	return x;
}

/* A stand-in name of that length. */
static void stand_in(size_t len, char *out)
{
	memset(out, 'q', len);
	memcpy(out + len - 8, ".example", 9);
}

static const struct template *template_of(struct world *w, enum shape shape, size_t len)
{
	struct template *t = &w->templates[shape][len];
	char base[BASE_MAX + 1], san[2 * BASE_MAX + 32];
	X509 *x;

	if (t->der)
		return t;
	stand_in(len, base);
	snprintf(san, sizeof san,
		shape == ALONE      ? "DNS:%s"
		: shape == WITH_WWW ? "DNS:%s,DNS:www.%s"
				    : "DNS:*.%s,DNS:%s",
		base, base);
	x = new_certificate(base, w->key, w->ca, w->ca_key, san, 90);
	t->len = (size_t)i2d_X509(x, &t->der);
	X509_free(x);
	return t;
}

static void replace(unsigned char *in, size_t n, const void *from, const void *to, size_t len)
{
	for (unsigned char *at = in; (at = memmem(at, n - (size_t)(at - in), from, len)); at += len)
		memcpy(at, to, len);
}

/* Sets der, serial and ari_id. */
static void cut_certificate(struct world *w, uint64_t i, struct endpoint_cert *x)
{
	char base[BASE_MAX + 1], mark[BASE_MAX + 1];
	unsigned char serial[sizeof serial_mark];
	const struct template *t;
	_buf_release_ struct buf text = BUF_INIT(64);

	base_name(i, base);
	t = template_of(w, shape_of(i), strlen(base));
	stand_in(strlen(base), mark);
	memcpy(serial, serial_mark, sizeof serial);
	for (size_t k = 2; k < sizeof serial; k++)
		serial[k] = (unsigned char)(roll(i, OF_SERIAL) >> (k % 8 * 8)) ^ (unsigned char)k;
	x->der = mem_dup(t->der, t->len);
	x->der_len = t->len;
	replace(x->der, x->der_len, mark, base, strlen(base));
	replace(x->der, x->der_len, serial_mark, serial, sizeof serial);
	str_hex(serial, sizeof serial, x->serial);
	memmove(x->serial, x->serial + 1, strlen(x->serial)); /* as openssl prints it */
	str_base64url(&text, serial, sizeof serial);
	snprintf(x->ari_id, sizeof x->ari_id, "%s.%s", w->ari_prefix, buf_cstr(&text));
}

static void make_cert(struct world *w, uint64_t i, double from, double to, struct endpoint *e)
{
	struct endpoint_cert *x = &e->cert;
	int64_t life = (roll(i, OF_LIFE) % 5 ? 90 : 45) * CLOCK_DAY_MS;
	int64_t age = (int64_t)((double)life * (from + (to - from) * part(i, OF_AGE)));

	cut_certificate(w, i, x);
	memcpy(x->chain_sha, w->chain_sha, sizeof x->chain_sha);
	x->not_before_ms = (w->now_ms - age) / 1000 * 1000;
	x->not_after_ms = x->not_before_ms + life;
	x->issued_ms = x->not_before_ms + CLOCK_HOUR_MS;
	x->renew_at_ms = x->not_before_ms + life / 3 * 2;
	x->wanted = endpoint_wanted(&e->config);
	x->renewals = (uint32_t)(roll(i, OF_LIFE) % 7);
	x->key_type = KEY_P256;
	if (roll(i, OF_AUTHORITY) % 8) {
		snprintf(x->authority, sizeof x->authority, "letsencrypt");
		x->ari_start_ms = x->renew_at_ms - CLOCK_DAY_MS;
		x->ari_end_ms = x->renew_at_ms + CLOCK_DAY_MS;
		x->ari_next_ms =
			w->now_ms + CALM_MS + (int64_t)(part(i, OF_LOOK) * 5 * CLOCK_HOUR_MS);
	} else {
		snprintf(x->authority, sizeof x->authority, "zerossl");
	}
	e->has_cert = true;
}

/* --- verdicts */

static void make_verdict(struct world *w, uint64_t i, struct endpoint *e)
{
	struct endpoint_verdict *v = &e->verdict;
	bool external = e->config.type == ENDPOINT_EXTERNAL;

	v->looked_ms = w->now_ms - (int64_t)(part(i, OF_LOOK) * FRESH_MS);
	v->deep_ms = w->now_ms - (int64_t)(part(i, OF_AGE) * CLOCK_DAY_MS);
	v->changed_ms = w->now_ms - (int64_t)((2 + part(i, OF_STABLE) * 90) * CLOCK_DAY_MS);
	v->unchanged_looks = 12 + (uint32_t)(roll(i, OF_STABLE) % 150);
	v->generation = 1;
	v->names_n = e->config.names_n;
	v->names = mem_array(v->names_n, sizeof *v->names);
	for (size_t k = 0; k < v->names_n; k++) {
		struct name_verdict *n = &v->names[k];

		*n = (struct name_verdict){.dns01 = VERDICT_CAN,
			.claim = CLAIM_HELD,
			.proven = true,
			.proof_exclusive = true};
		snprintf(n->name, sizeof n->name, "%s", e->config.names[k]);
		n->challenge.status = RECORD_RIGHT;
		n->traffic.status = external ? RECORD_RIGHT : RECORD_UNKNOWN;
		n->http01 = external && !name_is_wildcard(n->name) ? VERDICT_CAN : VERDICT_CANNOT;
	}
	e->has_verdict = true;
	if (!e->has_cert || !external)
		return;
	v->served = (struct served){.status = SERVED_OK,
		.right = 2,
		.addresses = 2,
		.looked_ms = w->now_ms - (int64_t)(part(i, OF_STABLE) * 0.8 * CLOCK_DAY_MS)};
	snprintf(v->served.serial, sizeof v->served.serial, "%s", e->cert.serial);
	snprintf(v->served.proven, sizeof v->served.proven, "%s", e->cert.serial);
}

static void describe(struct endpoint_verdict *v, const char *code, int64_t since_ms)
{
	struct diagnosis *d = mem_zalloc(sizeof *d);
	const char *name = v->names[0].name;

	diagnosis_init(d, code, name);
	snprintf(d->record, sizeof d->record, "_acme-challenge.%s CNAME", name);
	snprintf(d->expected, sizeof d->expected,
		"mfrggzdfmztwq2lknnwg23tpoa.acme.platform.example");
	diagnosis_observe(d, "ns1.dns.example 192.0.2.53", "CNAME old.host.example", 300);
	diagnosis_observe(d, "ns2.dns.example 198.51.100.53", "CNAME old.host.example", 300);
	snprintf(d->fix, sizeof d->fix, "Create: _acme-challenge.%.64s CNAME %.100s", name,
		d->expected);
	d->since_ms = since_ms;
	free(v->diagnoses);
	v->diagnoses = d;
	v->diagnoses_n = 1;
}

static void spoil(struct endpoint *e, const char *code, int64_t since_ms)
{
	struct endpoint_verdict *v = &e->verdict;
	bool missing = !strcmp(code, "record_missing") || !strcmp(code, "nxdomain");

	v->names[0].challenge = (struct record_look){
		.status = missing ? RECORD_MISSING : RECORD_WRONG, .bad_since_ms = since_ms};
	snprintf(v->names[0].challenge.code, sizeof v->names[0].challenge.code, "%s", code);
	if (!missing)
		snprintf(v->names[0].challenge.observed, sizeof v->names[0].challenge.observed,
			"CNAME old.host.example");
	v->names[0].traffic.status =
		e->config.type == ENDPOINT_EXTERNAL ? RECORD_WRONG : RECORD_UNKNOWN;
	v->names[0].dns01 = v->names[0].http01 = VERDICT_CANNOT;
	v->changed_ms = since_ms;
	describe(v, code, since_ms);
}

void world_break(struct endpoint *e, int64_t now_ms)
{
	spoil(e, "cname_elsewhere", now_ms);
}

void world_mend(struct endpoint *e, int64_t now_ms)
{
	struct name_verdict *n = &e->verdict.names[0];
	bool external = e->config.type == ENDPOINT_EXTERNAL;

	n->challenge = (struct record_look){.status = RECORD_RIGHT};
	n->traffic.status = external ? RECORD_RIGHT : RECORD_UNKNOWN;
	n->dns01 = VERDICT_CAN;
	n->http01 = external && !name_is_wildcard(n->name) ? VERDICT_CAN : VERDICT_CANNOT;
	e->verdict.changed_ms = now_ms;
	e->verdict.diagnoses_n = 0;
}

/* --- states */

static void fail(struct world *w, uint64_t i, struct endpoint *e)
{
	static const struct {
		const char *code, *actor, *detail;
	} ways[] = {{"unauthorized", "owner", "Invalid response from http://…: 404"},
		{"connection", "owner", "192.0.2.80: Fetching …: Timeout during connect"},
		{"caa", "owner", "CAA record prevents issuance"},
		{"rateLimited", "authority", "too many certificates already issued"},
		{"dns", "owner", "DNS problem: SERVFAIL looking up A"},
		{"ca_disagrees", "owner", "no valid A records found"}};
	size_t way = roll(i, OF_CODE) % ARRAY_LEN(ways);
	struct endpoint_issuance *s = &e->issuance;

	s->failures = 1 + (uint32_t)(roll(i, OF_CODE) / 7 % 6);
	s->failed_ms = w->now_ms - (int64_t)(part(i, OF_LOOK) * 0.9 * CLOCK_DAY_MS);
	s->next_ms = s->failed_ms + CLOCK_DAY_MS;
	snprintf(s->code, sizeof s->code, "%s", ways[way].code);
	snprintf(s->actor, sizeof s->actor, "%s", ways[way].actor);
	snprintf(s->detail, sizeof s->detail, "%s", ways[way].detail);
}

static const char *some_code(uint64_t i)
{
	static const char *const codes[] = {"record_missing", "record_missing", "record_missing",
		"cname_elsewhere", "target_doubled", "nxdomain", "wrong_type", "label_not_yours",
		"servfail", "cname_typo"};

	return codes[roll(i, OF_CODE) % ARRAY_LEN(codes)];
}

static void wait_quota(struct world *w, uint64_t i, struct endpoint *e)
{
	e->issuance.wait_ms = w->now_ms + CALM_MS + (int64_t)(part(i, OF_LOOK) * 20 * CLOCK_DAY_MS);
	e->issuance.wait_wanted = endpoint_wanted(&e->config);
	snprintf(e->issuance.wait, sizeof e->issuance.wait,
		"letsencrypt allows 300 new orders in 3h");
}

static unsigned chance(uint64_t i)
{
	return (unsigned)(roll(i, OF_STATE) % 1000);
}

bool world_is_parked(uint64_t i)
{
	return chance(i) >= 996 && chance(i) < 998;
}

/* In thousandths: of what the fleet consists. */
static void make_state(struct world *w, uint64_t i, struct endpoint *e)
{
	unsigned r = chance(i);
	int64_t since = w->now_ms - (int64_t)(part(i, OF_STABLE) * 20 * CLOCK_DAY_MS);

	if (r >= 925 && r < 965) { /* never had a certificate */
		make_verdict(w, i, e);
		if (r < 955)
			spoil(e, some_code(i), since);
		else if (r < 961)
			wait_quota(w, i, e);
		else
			fail(w, i, e);
		return;
	}
	if (r >= 965 && r < 975)
		make_cert(w, i, 0.67, 0.95, e);
	else if (r >= 975 && r < 990)
		make_cert(w, i, 1.0, 1.5, e);
	else
		make_cert(w, i, 0.0, 0.65, e);
	make_verdict(w, i, e);
	if (r >= 965 && r < 980)
		fail(w, i, e);
	else if (r >= 980 && r < 996)
		spoil(e, some_code(i), since);
	if (r >= 980 && r < 990)
		e->verdict.departed = true;
	e->cert.partial = r >= 990 && r < 993;
}

void world_make(struct world *w, uint64_t i, struct endpoint *e)
{
	struct endpoint_config *c = &e->config;
	char base[BASE_MAX + 1];

	*e = (struct endpoint){.generation = 1};
	base_name(i, base);
	snprintf(c->id, sizeof c->id, "%s", base);
	tenant_of(i, c->tenant, sizeof c->tenant);
	c->type = roll(i, OF_TYPE) % 8 ? ENDPOINT_EXTERNAL : ENDPOINT_INTERNAL;
	if (c->type == ENDPOINT_EXTERNAL)
		snprintf(c->target, sizeof c->target, TARGET);
	c->key_type = KEY_P256;
	c->created_ms = w->now_ms - (int64_t)(part(i, OF_STABLE) * 700 * CLOCK_DAY_MS);
	set_names(c, shape_of(i), base);
	make_state(w, i, e);
}

/* --- life */

void world_key(struct world *w, const char *id, struct buf *out)
{
	char place[ENDPOINT_PLACE_SIZE];

	require(!vault_seal(w->vault, VAULT_CERTIFICATES, endpoint_key_place(id, false, place),
			w->packed_key.data, w->packed_key.len, out),
		"a key is not sealed");
}

const struct buf *world_chain(const struct world *w)
{
	return &w->chain;
}

static void make_chain(struct world *w)
{
	unsigned char *der = NULL, sha[SHA256_DIGEST_LENGTH];
	size_t len = (size_t)i2d_X509(w->ca, &der);
	unsigned char size[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len};
	_buf_release_ struct buf text = BUF_INIT(64);

	w->chain = BUF_INIT(CHAIN_MAX_BYTES);
	buf_add(&w->chain, size, sizeof size);
	buf_add(&w->chain, der, len);
	OPENSSL_free(der);
	SHA256((const unsigned char *)w->chain.data, w->chain.len, sha);
	str_hex(sha, sizeof sha, w->chain_sha);
	str_base64url(&text, sha, 20);
	snprintf(w->ari_prefix, sizeof w->ari_prefix, "%s", buf_cstr(&text));
}

struct world *world_new(const char *key_file, int64_t now_ms)
{
	struct world *w = mem_zalloc(sizeof *w);
	struct why why = {""};

	w->now_ms = now_ms;
	require(!vault_open(NULL, key_file, &w->vault, &why), why.text);
	require(!keypair_make(KEY_P256, &w->key) && !keypair_make(KEY_P256, &w->ca_key), "a key");
	w->ca = new_certificate(
		"E7 of a made-up authority", w->ca_key, NULL, w->ca_key, NULL, 3650);
	w->packed_key = BUF_INIT(8192);
	require(!keypair_pack(w->key, &w->packed_key), "a key is not packed");
	make_chain(w);
	return w;
}

void world_now(struct world *w, int64_t now_ms)
{
	w->now_ms = now_ms;
}

void world_free(struct world *w)
{
	for (size_t s = 0; s < SHAPES; s++)
		for (size_t n = 0; n <= BASE_MAX; n++)
			OPENSSL_free(w->templates[s][n].der);
	X509_free(w->ca);
	EVP_PKEY_free(w->key);
	EVP_PKEY_free(w->ca_key);
	buf_release_secret(&w->packed_key);
	buf_release(&w->chain);
	vault_close(w->vault);
	free(w);
}
