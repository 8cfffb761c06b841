#include "worker/authorities.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/secret.h"
#include "common/str.h"
#include "worker/diagnose/diagnose.h"
#include "worker/jobs/again.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

#define LOCK_MS           "60000"
#define ACCOUNT_BYTES_MAX 8192
#define EAB_TEXT_MAX      1024
#define LEARN_EVERY_MS    (5 * CLOCK_MINUTE_MS)

struct authority {
	struct authorities *all;
	const struct config_authority *config;
	struct acme_authority *acme;
	int64_t learn_mono_ms; /* no question for the directory before; 0: never asked */
};

struct authorities {
	struct worker *w;
	struct authority *items;
	size_t n;
};

/* One call of a hook, until it is done. */
struct call {
	struct authority *a;
	acme_done_fn *done;
	acme_account_fn *loaded;
	void *done_arg;
};

static struct call *call_new(struct authority *a, acme_done_fn *done, void *done_arg)
{
	struct call *c = mem_zalloc(sizeof *c);

	*c = (struct call){.a = a, .done = done, .done_arg = done_arg};
	return c;
}

static void call_done(struct call *c, int err)
{
	again_note(c->a->all->w, err);
	c->done(c->done_arg, err);
	free(c);
}

static struct authority *find(struct authorities *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (!name[0] || !strcmp(all->items[i].config->name, name))
			return &all->items[i];
	return NULL;
}

static char *place_of(const struct authority *a)
{
	return mem_printf("account/%s", a->config->name);
}

static char *key_of(const struct authority *a, const char *what)
{
	return mem_printf("%s%s:%s", redis_prefix(a->all->w->redis), what, a->config->name);
}

/* --- load */

static void on_loaded(void *arg, int err, const struct reply *reply)
{
	struct call *c = arg;
	_buf_release_secret_ struct buf key = BUF_INIT(ACCOUNT_BYTES_MAX);
	_mem_free_ char *place = place_of(c->a);
	struct acme_account account = {0};
	const char *sealed;
	size_t n = 0;

	sealed = err ? NULL : reply_str(reply_at(reply, 0), &n);
	if (!err && !sealed)
		err = CF_ENOTFOUND;
	if (!err)
		err = vault_unseal(c->a->all->w->vault, VAULT_ACCOUNTS, place, sealed, n, &key);
	if (!err) {
		account.url = reply_str(reply_at(reply, 1), NULL);
		account.key = key.data;
		account.key_len = key.len;
	}
	c->loaded(c->done_arg, err, err ? NULL : &account);
	free(c);
}

static void store_load(void *arg, const char *name, acme_account_fn *done, void *done_arg)
{
	struct authorities *all = arg;
	struct call *c = call_new(find(all, name), NULL, done_arg);
	_mem_free_ char *key = key_of(c->a, "acct");

	c->loaded = done;
	redis_commandv(all->w->redis, on_loaded, c, "HMGET", key, "key", "url", NULL);
}

/* --- lock */

static void on_locked(void *arg, int err, const struct reply *reply)
{
	if (!err && reply_type(reply) == REPLY_NIL)
		err = CF_EBUSY;
	call_done(arg, err);
}

static void store_lock(void *arg, const char *name, acme_done_fn *done, void *done_arg)
{
	struct authorities *all = arg;
	struct call *c = call_new(find(all, name), done, done_arg);
	_mem_free_ char *key = key_of(c->a, "lock:acct");

	redis_commandv(
		all->w->redis, on_locked, c, "SET", key, all->w->name, "NX", "PX", LOCK_MS, NULL);
}

static void on_unlocked(void *arg, int err, const struct reply *reply)
{
	(void)reply;
	call_done(arg, err);
}

static void store_unlock(void *arg, const char *name, acme_done_fn *done, void *done_arg)
{
	struct authorities *all = arg;
	struct call *c = call_new(find(all, name), done, done_arg);
	_mem_free_ char *lock = mem_printf("lock:acct:%s", c->a->config->name);
	const char *argv[] = {lock, all->w->name};

	redis_script(all->w->redis, "unlock", 2, argv, NULL, on_unlocked, c);
}

/* --- save */

static void on_barrier(void *arg, int err)
{
	call_done(arg, err);
}

static void on_saved(void *arg, int err, const struct reply *reply)
{
	struct call *c = arg;
	struct worker *w = c->a->all->w;

	(void)reply;
	if (!err && w->barrier)
		barrier_wait(w->barrier, w->redis, on_barrier, c);
	else
		call_done(c, err);
}

static void store_save(void *arg, const char *name, const struct acme_account *account,
	acme_done_fn *done, void *done_arg)
{
	struct authorities *all = arg;
	struct call *c = call_new(find(all, name), done, done_arg);
	_mem_free_ char *key = key_of(c->a, "acct");
	_mem_free_ char *place = place_of(c->a);
	_buf_release_ struct buf sealed = BUF_INIT(ACCOUNT_BYTES_MAX);
	int err = vault_seal(
		all->w->vault, VAULT_ACCOUNTS, place, account->key, account->key_len, &sealed);
	const char *argv[] = {"HSET", key, "key", sealed.data, "url", account->url};
	size_t lens[] = {4, strlen(key), 3, sealed.len, 3, account->url ? strlen(account->url) : 0};

	if (err) {
		call_done(c, err);
		return;
	}
	redis_command(all->w->redis, account->url ? 6 : 4, argv, lens, on_saved, c);
}

static const struct acme_store store = {
	.load = store_load, .lock = store_lock, .save = store_save, .unlock = store_unlock};

/* --- life */

/* The key as CAs hand it out: base64url text. */
static int read_eab(const struct config_authority *c, struct buf *out, struct why *why)
{
	_buf_release_secret_ struct buf text = BUF_INIT(EAB_TEXT_MAX);
	int err = secret_read_line(c->eab.hmac_key_file, &text, why);

	while (!err && text.len && text.data[text.len - 1] == '=')
		text.len--;
	if (!err && str_unbase64url(out, text.data, text.len))
		err = why_set(why, CF_EINVAL, "%s: expected the EAB HMAC key as base64url text",
			c->eab.hmac_key_file);
	if (err)
		why_prefix(why, err, "authority \"%s\": ", c->name);
	return err;
}

static int open_one(struct authority *a, struct why *why)
{
	const struct config_authority *c = a->config;
	_buf_release_secret_ struct buf eab = BUF_INIT(EAB_TEXT_MAX);
	struct acme_authority_options options = {
		.name = c->name,
		.directory_url = c->directory,
		.contacts = (const char *const *)c->contact.items,
		.n_contacts = c->contact.n,
		.tos_agreed = c->terms_of_service_agreed,
		.profile = c->profile,
		.eab_kid = c->eab.kid,
		.ca_file = c->ca_file,
		.max_requests = c->max_requests,
	};
	int err = c->eab.kid ? read_eab(c, &eab, why) : 0;

	if (err)
		return err;
	options.eab_hmac = eab.data;
	options.eab_hmac_len = eab.len;
	a->acme = acme_authority_new(&a->all->w->loop, &options, &store, a->all);
	return 0;
}

int authorities_new(struct worker *w, struct authorities **out, struct why *why)
{
	struct authorities *all = mem_zalloc(sizeof *all);
	int err = 0;

	all->w = w;
	all->n = w->config->authorities.n;
	all->items = mem_array(all->n, sizeof *all->items);
	for (size_t i = 0; i < all->n && !err; i++) {
		all->items[i].all = all;
		all->items[i].config = &w->config->authorities.items[i];
		err = open_one(&all->items[i], why);
	}
	if (err)
		authorities_free(all);
	else
		*out = all;
	return err;
}

void authorities_free(struct authorities *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++)
		acme_authority_free(all->items[i].acme);
	free(all->items);
	free(all);
}

struct acme_authority *authorities_get(struct authorities *all, const char *name)
{
	struct authority *a = find(all, name);

	return a ? a->acme : NULL;
}

const char *authorities_name(struct authorities *all, const char *name)
{
	struct authority *a = find(all, name);

	return a ? a->config->name : NULL;
}

int64_t authorities_ari_every(struct authorities *all, const char *name)
{
	struct authority *a = find(all, name);

	return a ? a->config->renewal_info_every_ms : CLOCK_DAY_MS;
}

const struct config_limits *authorities_limits(struct authorities *all, const char *name)
{
	struct authority *a = find(all, name);

	return a ? &a->config->limits : NULL;
}

const char *authorities_after(struct authorities *all, const char *name)
{
	struct authority *a = find(all, name);
	size_t next = a ? (size_t)(a - all->items) + 1 : all->n;

	return next < all->n ? all->items[next].config->name : NULL;
}

static void fill_for_caa(const struct authority *a, struct diagnose_authority *out)
{
	const struct config_strings *own = &a->config->caa_identities;
	struct acme_authority_info info;

	acme_authority_info(a->acme, &info);
	*out = (struct diagnose_authority){
		.name = a->config->name, .account_url = info.account_url};
	out->identities = own->n ? (const char *const *)own->items : info.caa_identities;
	out->n_identities = own->n ? own->n : info.n_caa_identities;
}

size_t authorities_for_caa(
	struct authorities *all, const char *only, struct diagnose_authority *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n && n < max; i++)
		if (!only[0] || !strcmp(all->items[i].config->name, only))
			fill_for_caa(&all->items[i], &out[n++]);
	return n;
}

static void on_learnt(void *arg, const struct acme_failure *failure)
{
	struct authority *a = arg;

	if (!failure)
		a->learn_mono_ms = INT64_MAX;
}

void authorities_learn(struct authorities *all)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < all->n; i++) {
		struct authority *a = &all->items[i];

		if (a->learn_mono_ms > now)
			continue;
		a->learn_mono_ms = now + LEARN_EVERY_MS;
		acme_authority_ready(a->acme, on_learnt, a);
	}
}

const char *authorities_clock(struct authorities *all, int64_t *apart_ms)
{
	const char *name = "";

	*apart_ms = 0;
	for (size_t i = 0; all && i < all->n; i++) {
		struct acme_authority_info info;

		acme_authority_info(all->items[i].acme, &info);
		if (llabs(info.clock_apart_ms) <= llabs(*apart_ms))
			continue;
		*apart_ms = info.clock_apart_ms;
		name = all->items[i].config->name;
	}
	return name;
}
