#include "worker/acme/order_run.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <openssl/sha.h>
#include <string.h>

enum { CSR_BYTES_MAX = 65536, KEY_BYTES_MAX = 8192 };

static struct flight *flight_new(struct acme_order *run, int unit, enum effect_kind kind)
{
	struct flight *f = mem_zalloc(sizeof(*f));

	f->run = run;
	f->unit = unit;
	f->kind = kind;
	f->csr = BUF_INIT(CSR_BYTES_MAX);
	run->flights[unit + 1] = f;
	run->refs++;
	return f;
}

void flight_free(struct flight *f)
{
	EVP_PKEY_free(f->key);
	buf_release(&f->csr);
	free(f->key_authorization);
	free(f->txt);
	free(f);
}

bool run_take_back(struct flight *f)
{
	const struct outcome canceled = {.canceled = true, .err = CF_ECANCELED};

	if (f->kind != EFFECT_POST && f->kind != EFFECT_WAIT && f->kind != EFFECT_ACCOUNT)
		return false;
	authority_post_cancel(f->post);
	f->post = NULL;
	authority_unwait(f->run->authority, &f->waiter);
	run_consume(f, &canceled);
	return true;
}

/* --- requests --- */

static void on_answer(void *arg, const struct http_answer *answer)
{
	struct flight *f = arg;
	struct outcome o = {.err = answer->err,
		.sent = answer->sent,
		.status = answer->status,
		.body = answer->body,
		.len = answer->len,
		.location = answer->location,
		.why = answer->why.text,
		.retry_after_ms = retry_after_parse(answer->retry_after, clock_wall_ms())};

	f->post = NULL;
	if (f->run->order.step == ORDER_NEW_ORDER && f->unit == ORDER_UNIT)
		authority_doubt(f->run->authority, answer->status);
	run_consume(f, &o);
}

static void run_post(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);
	const struct authority_call call = {.url = e->url, .payload = e->payload, .pem = e->pem};

	run->epoch = authority_epoch(run->authority);
	f->post = authority_post(run->authority, &call, on_answer, f);
}

static void on_account(void *arg, const struct acme_failure *failure)
{
	struct flight *f = arg;
	struct outcome o = {0};

	if (failure) {
		o.canceled = true;
		o.err = CF_ECANCELED;
		order_give_up(&f->run->order, failure);
	}
	run_consume(f, &o);
}

static void run_account(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);

	authority_account_lost(run->authority, run->epoch);
	authority_wait(run->authority, &f->waiter, on_account, f);
}

static void run_wait(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);

	f->wake_mono_ms = clock_mono_ms() + e->wait_ms;
}

/* --- key and signing request: off the loop when they take long --- */

static void consume_err(struct flight *f, int err)
{
	struct outcome o = {.err = err};

	run_consume(f, &o);
}

static int take_key(struct acme_order *run, EVP_PKEY *key)
{
	struct buf packed = BUF_INIT(KEY_BYTES_MAX);
	int err = keypair_pack(key, &packed);

	if (err < 0) {
		buf_release_secret(&packed);
		return err;
	}
	buf_release_secret(&run->packed);
	run->packed = packed;
	EVP_PKEY_free(run->key);
	EVP_PKEY_up_ref(key);
	run->key = key;
	return 0;
}

static void work_key(uv_work_t *work)
{
	struct flight *f = container_of(work, struct flight, work);

	f->err = keypair_make(f->key_type, &f->key);
}

static void key_done(uv_work_t *work, int status)
{
	struct flight *f = container_of(work, struct flight, work);
	int err = status < 0 ? CF_ECANCELED : f->err;

	if (!err)
		err = take_key(f->run, f->key);
	consume_err(f, err);
}

static void run_key(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);

	f->key_type = run->key_type;
	if (key_type_is_slow(run->key_type) &&
		uv_queue_work(run->timer.loop, &f->work, work_key, key_done) == 0)
		return;
	work_key(&f->work);
	key_done(&f->work, 0);
}

static void work_csr(uv_work_t *work)
{
	struct flight *f = container_of(work, struct flight, work);
	const struct order *o = &f->run->order;
	const char **names = mem_array(o->n_names, sizeof(*names));
	struct buf der = BUF_INIT(CSR_BYTES_MAX / 2);

	for (size_t i = 0; i < o->n_names; i++)
		names[i] = o->names[i].name;
	f->err = keypair_csr(f->key, names, o->n_names, &der);
	if (!f->err)
		str_base64url(&f->csr, der.data, der.len);
	if (!f->err)
		f->err = buf_err(&f->csr);
	buf_release(&der);
	free(names);
}

static void csr_done(uv_work_t *work, int status)
{
	struct flight *f = container_of(work, struct flight, work);
	struct outcome o = {.err = status < 0 ? CF_ECANCELED : f->err,
		.body = buf_cstr(&f->csr),
		.len = f->csr.len};

	run_consume(f, &o);
}

/* P-384 and RSA sign slowly. The names do not change while the order lives, and the flight keeps it
 * alive. */
static void run_csr(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);

	EVP_PKEY_up_ref(run->key);
	f->key = run->key;
	if (run->key_type != KEY_P256 &&
		uv_queue_work(run->timer.loop, &f->work, work_csr, csr_done) == 0)
		return;
	work_csr(&f->work);
	csr_done(&f->work, 0);
}

/* --- hooks --- */

static void on_hook(void *done_arg, int err)
{
	consume_err(done_arg, err);
}

static void run_checkpoint(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);
	struct acme_checkpoint c = {
		.version = ACME_CHECKPOINT_VERSION,
		.step = order_step_name(run->order.step),
		.authority = authority_name(run->authority),
		.order_url = run->order.url,
		.key = run->packed.data,
		.key_len = run->packed.len,
	};

	memcpy(c.names_hash, run->names_hash, sizeof(c.names_hash));
	run->hooks->checkpoint(run->arg, &c, e->barrier, on_hook, f);
}

static void fill_challenge(struct acme_order *run, struct flight *f, struct acme_challenge *c)
{
	struct buf text = BUF_INIT(1024), digest = BUF_INIT(64);

	jws_key_authorization(c->token, authority_thumbprint(run->authority), &text);
	jws_digest64(buf_cstr(&text), text.len, &digest);
	f->key_authorization = buf_detach(&text, NULL);
	f->txt = buf_detach(&digest, NULL);
	c->key_authorization = f->key_authorization;
	c->txt = f->txt;
}

static void run_challenge(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);
	struct acme_challenge c = e->challenge;

	fill_challenge(run, f, &c);
	if (e->kind == EFFECT_PUBLISH)
		run->hooks->publish(run->arg, &c, on_hook, f);
	else if (e->kind == EFFECT_VISIBLE)
		run->hooks->visible(run->arg, &c, on_hook, f);
	else
		run->hooks->unpublish(run->arg, &c, on_hook, f);
}

void run_unpublish(struct acme_order *run, const struct authz *a)
{
	struct flight *f = flight_new(run, ORDER_UNIT, EFFECT_UNPUBLISH);
	struct acme_challenge c = {
		.type = a->type, .name = a->name, .wildcard = a->wildcard, .token = a->token};

	fill_challenge(run, f, &c);
	run->hooks->unpublish(run->arg, &c, on_hook, f);
}

/* --- what came --- */

static void run_check(struct acme_order *run, int unit, const struct effect *e)
{
	struct flight *f = flight_new(run, unit, e->kind);
	const struct order *o = &run->order;
	const char **names = mem_array(o->n_names, sizeof(*names));
	struct why why = {.text = ""};
	struct outcome out = {.why = why.text};

	for (size_t i = 0; i < o->n_names; i++)
		names[i] = o->names[i].name;
	chain_release(&run->chain);
	out.err = chain_from_pem(o->pem, o->pem_len, &run->chain, &why);
	if (!out.err)
		out.err = chain_check(
			&run->chain, run->key, names, o->n_names, clock_wall_ms(), &why);
	free(names);
	run_consume(f, &out);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void run_names_hash(
	enum key_type type, const struct acme_identifier *names, size_t n, unsigned char out[32])
{
	const char **sorted = mem_array(n ? n : 1, sizeof(*sorted));
	struct buf all = BUF_INIT(1 << 20);

	for (size_t i = 0; i < n; i++)
		sorted[i] = names[i].name;
	qsort(sorted, n, sizeof(*sorted), compare);
	buf_addf(&all, "%d", (int)type);
	for (size_t i = 0; i < n; i++)
		buf_addf(&all, " %s", sorted[i]);
	SHA256((const unsigned char *)all.data, all.len, out);
	buf_release(&all);
	free(sorted);
}

void run_effect(struct acme_order *run, int unit, const struct effect *effect)
{
	static void (*const table[])(struct acme_order *, int, const struct effect *) = {
		[EFFECT_NONE] = NULL,
		[EFFECT_POST] = run_post,
		[EFFECT_ACCOUNT] = run_account,
		[EFFECT_MAKE_KEY] = run_key,
		[EFFECT_MAKE_CSR] = run_csr,
		[EFFECT_CHECKPOINT] = run_checkpoint,
		[EFFECT_PUBLISH] = run_challenge,
		[EFFECT_VISIBLE] = run_challenge,
		[EFFECT_UNPUBLISH] = run_challenge,
		[EFFECT_WAIT] = run_wait,
		[EFFECT_CHECK] = run_check,
		[EFFECT_DONE] = NULL,
		[EFFECT_FAIL] = NULL,
	};

	if (table[effect->kind])
		table[effect->kind](run, unit, effect);
}
