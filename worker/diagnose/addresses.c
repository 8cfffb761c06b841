/* Addresses of a name beside those of the target: an apex cannot have a CNAME, and some forms
 * flatten it. */
#include "common/names.h"
#include "worker/diagnose/cdn.h"
#include "worker/diagnose/diagnose_internal.h"

#include <string.h>

static bool has(const struct fact_answer *in, const char *text)
{
	for (size_t i = 0; in && i < in->n_records; i++)
		if (!strcmp(in->records[i], text))
			return true;
	return false;
}

static const char *cdn_of(const struct fact_answer *a, size_t i)
{
	for (size_t k = 0; k < a->n_hops; k++)
		if (cdn_of_name(a->hops[k]))
			return cdn_of_name(a->hops[k]);
	return a->raw ? cdn_of_address(&a->raw[i].address) : NULL;
}

/* Foreign addresses that are not all one CDN's are somebody's. */
static void count(const struct fact_answer *own, const struct fact_answer *target, bool six,
	struct addresses *out, size_t *by_cdn)
{
	for (size_t i = 0; own && own->end == FACT_RECORDS && i < own->n_records; i++) {
		bool ours = has(target, own->records[i]);
		const char *cdn = ours ? NULL : cdn_of(own, i);

		out->n++;
		out->n6 += six;
		out->ours += ours;
		out->ours6 += six && ours;
		if (cdn) {
			(*by_cdn)++;
			out->cdn = cdn;
		}
	}
}

static bool is_empty(const struct fact_answer *a)
{
	return a && end_is_missing(a->end);
}

void view_addresses(struct view *v, struct addresses *out)
{
	const char *target = v->c->config->target;
	const struct fact_answer *own = view_answer(v, DNS_A, v->c->name);
	const struct fact_answer *own6 = view_answer(v, DNS_AAAA, v->c->name);
	const struct fact_answer *to = view_answer(v, DNS_A, target);
	const struct fact_answer *to6 = view_answer(v, DNS_AAAA, target);
	size_t by_cdn = 0;

	*out = (struct addresses){.end = FACT_NODATA};
	out->open = !own || !own6 || !to || !to6;
	if (out->open)
		return;
	count(own, to, false, out, &by_cdn);
	count(own6, to6, true, out, &by_cdn);
	if (by_cdn + out->ours < out->n)
		out->cdn = NULL;
	out->target_missing = is_empty(to) && is_empty(to6);
	out->target_unknown = end_is_failure(to->end) || end_is_failure(to6->end);
	if (out->n)
		out->end = FACT_RECORDS;
	else
		out->end = end_is_failure(own->end) ? own->end : own6->end;
}
