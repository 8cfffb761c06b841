/* account.c - the account of one authority (RFC 8555 section 7.3): loaded, or made by one process
 * of the fleet under a lock. Its key is saved behind a barrier before newAccount, so that an
 * account whose answer was lost is found again by its key, and an EAB that may be used only once is
 * not wasted.
 */
#include "worker/acme/authority_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

#include <string.h>

enum {
	BUSY_PAUSE_MS = 500,
	BUSY_MAX = 120, /* a minute */
	NEW_ACCOUNT_TRIES = 4,
	PAYLOAD_MAX = 32768,
};

static void load(struct acme_authority *a);
static void register_account(struct acme_authority *a);

/* Our own done functions hold a reference; true: somebody still wants to know. */
static bool came_back(struct acme_authority *a)
{
	bool wanted = !a->freed;

	authority_unref(a);
	return wanted;
}

static void forget_key(struct acme_authority *a)
{
	jws_key_free(a->key);
	a->key = NULL;
	free(a->account_url);
	a->account_url = NULL;
}

void account_release(struct acme_authority *a)
{
	forget_key(a);
	free(a->lost_url);
	if (a->outcome)
		failure_release(a->outcome);
	free(a->outcome);
	a->outcome = NULL;
}

/* --- the end: unlocked if need be, then all are told --- */

static void tell(struct acme_authority *a)
{
	struct acme_failure *f = mem_steal(a->outcome);

	authority_settle(a, f);
	if (f)
		failure_release(f);
	free(f);
}

static void on_unlocked(void *arg, int err)
{
	struct acme_authority *a = arg;

	(void)err; /* it has a time to live */
	a->refs++;
	if (came_back(a))
		tell(a);
	authority_unref(a);
}

static void end(struct acme_authority *a, struct acme_failure *f)
{
	if (f)
		a->outcome = mem_dup(f, sizeof(*f));
	if (!a->locked) {
		tell(a);
		return;
	}
	a->locked = false;
	a->refs++;
	a->store.unlock(a->store_arg, a->name, on_unlocked, a);
}

static void end_with(
	struct acme_authority *a, enum acme_class class, const char *code, const char *text)
{
	struct acme_failure f = {0};

	failure_set(&f, class, ACME_ACCOUNT, code, "%s", text);
	end(a, &f);
}

/* --- newAccount --- */

static void on_saved_account(void *arg, int err)
{
	struct acme_authority *a = arg;

	if (!came_back(a))
		return;
	if (err)
		LOG(WARN, "account_not_saved", LF("authority", a->name),
			LF("error", cf_strerror(err)));
	end(a, NULL); /* the key is saved: whoever loads it finds the URL again by it */
}

static void save(struct acme_authority *a, acme_done_fn *done)
{
	_buf_release_secret_ struct buf packed = BUF_INIT(16384);
	struct acme_account account = {.url = a->account_url};

	if (keypair_pack(jws_key_pkey(a->key), &packed) < 0) {
		end_with(a, ACME_BACKOFF, "account_store", "the account's key cannot be packed");
		return;
	}
	account.key = packed.data;
	account.key_len = packed.len;
	a->refs++;
	a->store.save(a->store_arg, a->name, &account, done, a);
}

static void took_account(struct acme_authority *a, const struct http_answer *answer)
{
	struct ca_account c = {.status = CA_VALID};
	struct why why;

	ca_account_parse(answer->body, answer->len, &c, &why); /* some send nothing */
	if (c.status == CA_DEACTIVATED || c.status == CA_REVOKED) {
		end_with(a, ACME_OPERATOR, "account_deactivated",
			"the CA has deactivated the account: make a new one (certfleet authority "
			"replace)");
		return;
	}
	if (!answer->location) {
		end_with(a, ACME_BACKOFF, "not_acme",
			"the CA's answer to newAccount has no Location");
		return;
	}
	free(a->account_url);
	a->account_url = mem_strdup(answer->location);
	a->epoch++;
	LOG(INFO, "account_ready", LF("authority", a->name), LF("account", a->account_url));
	save(a, on_saved_account);
}

static void on_pause(uv_timer_t *timer)
{
	register_account(container_of(timer, struct acme_authority, timer));
}

static void refused_account(struct acme_authority *a, struct acme_failure *f)
{
	if (a->try_existing &&
		(!strcmp(f->code, "accountDoesNotExist") || f->status == 400 || f->status == 404)) {
		a->try_existing = false;
		a->walk = (struct walk){0};
		failure_release(f);
		register_account(a);
		return;
	}
	if (!f->instance[0] && !strcmp(f->code, "userActionRequired") && a->directory.terms)
		str_clean(a->directory.terms, strlen(a->directory.terms), f->instance,
			sizeof(f->instance));
	end(a, f);
}

static void on_new_account(void *arg, const struct http_answer *answer)
{
	struct acme_authority *a = arg;
	struct outcome o = {.err = answer->err,
		.sent = answer->sent,
		.status = answer->status,
		.body = answer->body,
		.len = answer->len,
		.why = answer->why.text,
		.retry_after_ms = retry_after_parse(answer->retry_after, clock_wall_ms())};
	struct acme_failure f = {0};

	a->new_account = NULL;
	if (a->freed)
		return;
	switch (steps_judge(&a->seed, &a->walk, NEW_ACCOUNT_TRIES, UNKNOWN_REPLAY, &o, &f)) {
	case VERDICT_OK:
		took_account(a, answer);
		break;
	case VERDICT_AGAIN:
	case VERDICT_ASK:
		if (a->walk.account) { /* accountDoesNotExist to onlyReturnExisting */
			a->walk = (struct walk){0};
			a->try_existing = false;
		}
		authority_pause(a, a->walk.pause_ms, on_pause);
		a->walk.pause_ms = 0;
		break;
	case VERDICT_FAIL:
		refused_account(a, &f);
		break;
	}
}

static int build_payload(struct acme_authority *a, struct buf *out)
{
	if (a->try_existing) {
		buf_adds(out, "{\"onlyReturnExisting\":true}");
		return 0;
	}
	buf_adds(out, "{\"termsOfServiceAgreed\":");
	buf_adds(out, a->tos_agreed ? "true" : "false");
	if (a->n_contacts) {
		buf_adds(out, ",\"contact\":[");
		for (size_t i = 0; i < a->n_contacts; i++) {
			if (i)
				buf_addc(out, ',');
			str_json(out, a->contacts[i]);
		}
		buf_addc(out, ']');
	}
	if (a->eab_kid) {
		int err;

		buf_adds(out, ",\"externalAccountBinding\":");
		err = jws_eab(a->key, a->eab_kid, a->eab_hmac, a->eab_hmac_len,
			a->directory.new_account, out);
		if (err < 0)
			return err;
	}
	buf_addc(out, '}');
	return buf_err(out);
}

static void register_account(struct acme_authority *a)
{
	_buf_release_ struct buf payload = BUF_INIT(PAYLOAD_MAX);
	struct authority_call call = {.url = a->directory.new_account};

	if (build_payload(a, &payload) < 0) {
		end_with(a, ACME_OPERATOR, "account",
			"newAccount's request cannot be built: too many contacts, or the EAB key "
			"is unusable");
		return;
	}
	call.payload = buf_cstr(&payload);
	a->new_account = post_by_key(a, &call, on_new_account, a);
}

/* What the CA demands is known from its directory: nothing is sent that it must refuse. */
static bool may_register(struct acme_authority *a)
{
	struct acme_failure f = {0};

	if (a->directory.terms && !a->tos_agreed) {
		failure_set(&f, ACME_OPERATOR, ACME_ACCOUNT, "userActionRequired",
			"the CA's terms of service are not agreed to: read %s and set "
			"terms_of_service_agreed",
			a->directory.terms);
		str_clean(a->directory.terms, strlen(a->directory.terms), f.instance,
			sizeof(f.instance));
	} else if (a->directory.eab_required && !a->eab_kid) {
		failure_set(&f, ACME_OPERATOR, ACME_ACCOUNT, "externalAccountRequired",
			"the CA binds accounts to customers: set eab with the kid and key that it "
			"gave you");
	} else {
		return true;
	}
	end(a, &f);
	return false;
}

static void on_saved_key(void *arg, int err)
{
	struct acme_authority *a = arg;

	if (!came_back(a))
		return;
	if (err) {
		forget_key(a);
		end_with(a, ACME_BACKOFF, "account_store", cf_strerror(err));
		return;
	}
	register_account(a);
}

struct key_work {
	uv_work_t work;
	struct acme_authority *authority;
	enum key_type type;
	EVP_PKEY *key;
	int err;
};

static void make_key(uv_work_t *work)
{
	struct key_work *w = container_of(work, struct key_work, work);

	w->err = keypair_make(w->type, &w->key);
}

static void key_made(uv_work_t *work, int status)
{
	struct key_work *w = container_of(work, struct key_work, work);
	struct acme_authority *a = w->authority;
	int err = status < 0 ? CF_ECANCELED : w->err;

	if (!err)
		err = jws_key_new(w->key, &a->key);
	EVP_PKEY_free(w->key);
	free(w);
	if (!came_back(a))
		return;
	if (err)
		end_with(a, ACME_BACKOFF, "account", "no account key could be made");
	else
		save(a, on_saved_key);
}

static void begin_key(struct acme_authority *a)
{
	struct key_work *w = mem_zalloc(sizeof(*w));

	w->authority = a;
	w->type = a->account_key_type;
	a->refs++;
	uv_queue_work(a->loop, &w->work, make_key, key_made);
}

/* --- load, lock --- */

static int take_stored(struct acme_authority *a, const struct acme_account *stored)
{
	EVP_PKEY *key = NULL;
	struct jws_key *k;
	int err = keypair_unpack(stored->key, stored->key_len, &key);

	if (err < 0)
		return err;
	err = jws_key_new(key, &k);
	EVP_PKEY_free(key);
	if (err < 0)
		return err;
	forget_key(a);
	a->key = k;
	if (stored->url && !str_eq(stored->url, a->lost_url)) {
		a->account_url = mem_strdup(stored->url);
		a->epoch++;
	}
	return 0;
}

static void lock_again(uv_timer_t *timer)
{
	load(container_of(timer, struct acme_authority, timer));
}

static void on_locked(void *arg, int err)
{
	struct acme_authority *a = arg;

	if (!came_back(a)) {
		return;
	}
	if (err == CF_EBUSY && a->busy++ < BUSY_MAX) {
		authority_pause(a, BUSY_PAUSE_MS, lock_again);
		return;
	}
	if (err) {
		end_with(a, ACME_BACKOFF, "account_store", cf_strerror(err));
		return;
	}
	a->locked = true;
	load(a);
}

static void with_lock(struct acme_authority *a, bool have_key)
{
	if (!may_register(a))
		return;
	a->try_existing = have_key && !a->lost_url;
	if (have_key)
		register_account(a);
	else
		begin_key(a);
}

static void on_loaded(void *arg, int err, const struct acme_account *stored)
{
	struct acme_authority *a = arg;

	if (!came_back(a))
		return;
	if (!err)
		err = take_stored(a, stored);
	if (err && err != CF_ENOTFOUND) {
		end_with(a, err == CF_EAUTH || err == CF_EPROTO ? ACME_OPERATOR : ACME_BACKOFF,
			"account_store", cf_strerror(err));
	} else if (!err && a->account_url) {
		end(a, NULL);
	} else if (a->locked) {
		with_lock(a, !err);
	} else {
		a->refs++;
		a->store.lock(a->store_arg, a->name, on_locked, a);
	}
}

static void load(struct acme_authority *a)
{
	a->refs++;
	a->store.load(a->store_arg, a->name, on_loaded, a);
}

void account_start(struct acme_authority *a)
{
	a->busy = 0;
	a->walk = (struct walk){0};
	load(a);
}

unsigned authority_epoch(const struct acme_authority *a)
{
	return a->epoch;
}

void authority_account_lost(struct acme_authority *a, unsigned epoch)
{
	if (a->epoch != epoch || !a->account_url)
		return;
	LOG(WARN, "account_lost", LF("authority", a->name), LF("account", a->account_url));
	free(a->lost_url);
	a->lost_url = a->account_url;
	a->account_url = NULL;
	if (a->state == AUTHORITY_READY)
		a->state = AUTHORITY_IDLE;
}
