/* Which limits an order touches (see issue_quota.h). */
#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "worker/jobs/issue_quota.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define SAME_SET_MS    (120 * CLOCK_DAY_MS)
#define RENEWALS_SHARE 10 /* one part in so many */
#define SET_HEX_LEN \
	32 /* 128 bits of SHA-256: nobody gains by a collision, and there are few sets */

void issue_quota_exempt(struct quota_order *o, const struct endpoint *e, bool replaces,
	bool left_out, int64_t now_ms)
{
	const struct endpoint_cert *x = &e->cert;
	bool ours = e->has_cert && !strcmp(x->authority, o->authority);

	o->same_set = ours && !left_out && !x->partial &&
		      x->wanted == endpoint_wanted(&e->config) &&
		      now_ms < x->issued_ms + SAME_SET_MS;
	o->ari = ours && replaces && x->ari_start_ms <= now_ms && now_ms < x->ari_end_ms;
}

static int64_t period_of(const struct config_rate *rate)
{
	int64_t period = rate->window_ms / rate->count;

	return period > 0 ? period : 1;
}

static char *key_of(const char *authority, enum quota_limit limit, const char *subject)
{
	static const char *const kinds[] = {
		[LIMIT_NEW_ORDERS] = "new_orders",
		[LIMIT_DOMAIN] = "domain",
		[LIMIT_DUPLICATES] = "set",
		[LIMIT_FAILED] = "failed",
	};

	return mem_printf("%s:%s%s%s", authority, kinds[limit], subject[0] ? ":" : "", subject);
}

/* Looking costs nothing, so that the last one is looked for in a bucket without it. */
static void only_look(struct quota_item *item)
{
	item->cost = 0;
	if (item->burst > 1)
		item->burst--;
	else
		item->period_ms = 1;
}

static void add(struct quota_touch *out, size_t *n, const struct quota_order *o,
	enum quota_limit limit, const struct config_rate *rate, const char *subject)
{
	if (!rate->count)
		return;
	out[(*n)++] = (struct quota_touch){
		.limit = limit,
		.rate = rate,
		.subject = limit == LIMIT_DUPLICATES ? "" : subject,
		.item = {key_of(o->authority, limit, subject), rate->count, period_of(rate), 1},
	};
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void hash_set(const struct quota_order *o, char hex[2 * SHA256_DIGEST_LENGTH + 1])
{
	_buf_release_ struct buf all = BUF_INIT(ENDPOINT_NAMES_MAX * (NAME_SIZE + 1));
	_mem_free_ const char **sorted = mem_array(o->names_n + 1, sizeof *sorted);
	unsigned char sha[SHA256_DIGEST_LENGTH];

	for (size_t i = 0; i < o->names_n; i++)
		sorted[i] = o->names[i];
	qsort(sorted, o->names_n, sizeof *sorted, compare_names);
	for (size_t i = 0; i < o->names_n; i++) {
		buf_adds(&all, sorted[i]);
		buf_addc(&all, '\n');
	}
	SHA256((const unsigned char *)buf_cstr(&all), all.len, sha);
	str_hex(sha, sizeof sha, hex);
	hex[SET_HEX_LEN] = '\0';
}

static void add_domains(struct quota_touch *out, size_t *n, const struct quota_order *o)
{
	size_t from = *n;

	for (size_t i = 0; i < o->names_n; i++) {
		const char *domain = name_registered_domain(o->names[i]);
		size_t seen = from;

		while (seen < *n && strcmp(out[seen].subject, domain) != 0)
			seen++;
		if (seen == *n)
			add(out, n, o, LIMIT_DOMAIN, &o->limits->certificates_per_registered_domain,
				domain);
	}
}

struct quota_touch *issue_quota_items(const struct quota_order *o, size_t *n)
{
	struct quota_touch *out = mem_array(2 * o->names_n + 2, sizeof *out);
	char set[2 * SHA256_DIGEST_LENGTH + 1];

	*n = 0;
	if (!o->ari && !o->same_set) {
		add(out, n, o, LIMIT_NEW_ORDERS, &o->limits->new_orders, "");
		if (*n && !o->renewal)
			out[0].item.burst -= out[0].item.burst / RENEWALS_SHARE;
		add_domains(out, n, o);
	}
	if (!o->ari) {
		hash_set(o, set);
		add(out, n, o, LIMIT_DUPLICATES, &o->limits->duplicates, set);
	}
	for (size_t i = 0; !o->ari && i < o->names_n; i++) {
		size_t before = *n;

		add(out, n, o, LIMIT_FAILED, &o->limits->failed_authorizations, o->names[i]);
		if (*n > before)
			only_look(&out[before].item);
	}
	if (!*n) {
		free(out);
		return NULL;
	}
	return out;
}

void issue_quota_items_free(struct quota_touch *touches, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)touches[i].item.key);
	free(touches);
}

/* --- the CA's words */

/* Each limit as Let's Encrypt names it in the detail of rateLimited; the first that fits. */
static const struct {
	const char *words;
	enum quota_limit limit;
} says[] = {
	{"exact set", LIMIT_DUPLICATES},
	{"failed authorizations", LIMIT_FAILED},
	{"certificates", LIMIT_DOMAIN},
	{"new orders", LIMIT_NEW_ORDERS},
};

static bool names_subject(const char *detail, const char *subject)
{
	char quoted[NAME_SIZE + 2];

	snprintf(quoted, sizeof quoted, "\"%s\"", subject);
	return !subject[0] || strstr(detail, quoted) != NULL;
}

const struct quota_touch *issue_quota_blamed(
	const struct quota_touch *touches, size_t n, const char *detail)
{
	size_t k = 0;

	while (k < ARRAY_LEN(says) && !strstr(detail, says[k].words))
		k++;
	for (size_t i = 0; k < ARRAY_LEN(says) && i < n; i++)
		if (touches[i].limit == says[k].limit && names_subject(detail, touches[i].subject))
			return &touches[i];
	return NULL;
}

/* --- for people */

void issue_quota_text(const struct quota_touch *t, const char *authority, char *out, size_t size)
{
	static const char *const what[] = {
		[LIMIT_NEW_ORDERS] = "new orders",
		[LIMIT_DOMAIN] = "certificates for ",
		[LIMIT_DUPLICATES] = "certificates for exactly these names",
		[LIMIT_FAILED] = "failed validations of ",
	};
	char window[CLOCK_HUMAN_LEN];

	clock_human(t->rate->window_ms, window);
	snprintf(out, size, "%.40s allows %u %s%.40s in %s", authority, t->rate->count,
		what[t->limit], t->subject, window);
}

struct quota_item issue_quota_whole(const struct quota_touch *t)
{
	return (struct quota_item){t->item.key, t->rate->count, period_of(t->rate), 1};
}
