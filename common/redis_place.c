#include "common/redis_internal.h"

#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- places */

bool redis_place_is(const struct redis_place *p, const char *host, uint16_t port)
{
	return host && p->port == port && !strcmp(p->host, host);
}

/* False, and nothing written, when it is no place. */
static bool set_place(const char *host, size_t host_len, const char *port, struct redis_place *out)
{
	uint64_t number;

	if (!host_len || host_len >= sizeof out->host || str_parse_u64(port, UINT16_MAX, &number) ||
		!number)
		return false;
	*out = (struct redis_place){.port = (uint16_t)number, .epoch = -1};
	memcpy(out->host, host, host_len);
	return true;
}

bool redis_place_of_moved(const char *text, const char *from, struct redis_place *out)
{
	const char *where, *colon;

	if (!str_starts_with(text, "MOVED "))
		return false;
	where = strchr(text + strlen("MOVED "), ' ');
	colon = where ? strrchr(where, ':') : NULL;
	if (!colon)
		return false;
	where++;
	if (colon == where) /* it does not know under which name it is reached */
		return from && set_place(from, strlen(from), colon + 1, out);
	if (*where == '?')
		return false;
	return set_place(where, (size_t)(colon - where), colon + 1, out);
}

bool redis_place_of_switch(const char *text, const char *master, struct redis_place *out)
{
	size_t n = strlen(master);
	char host[REDIS_HOST_SIZE], port[8];

	if (strncmp(text, master, n) != 0 || text[n] != ' ')
		return false;
	if (sscanf(text + n, " %*s %*s %255s %7s", host, port) != 2)
		return false;
	return set_place(host, strlen(host), port, out);
}

/* --- whom to ask, and whom to believe */

void redis_search_init(struct redis_search *s, size_t nodes)
{
	*s = (struct redis_search){.nodes = nodes};
	for (size_t i = 0; i < nodes; i++)
		s->order[i] = i;
}

void redis_search_begin(struct redis_search *s)
{
	s->asked = 0;
	s->older = 0;
}

bool redis_search_next(const struct redis_search *s, size_t *node)
{
	if (s->asked >= s->nodes)
		return false;
	*node = s->order[s->asked];
	return true;
}

void redis_search_pass(struct redis_search *s)
{
	s->asked++;
}

void redis_search_prefer(struct redis_search *s, size_t node)
{
	size_t i = 0;

	while (i < s->nodes && s->order[i] != node)
		i++;
	if (i == s->nodes)
		return;
	memmove(s->order + 1, s->order, i * sizeof *s->order);
	s->order[0] = node;
}

/* A Sentinel that was cut off, or stopped, may still name the primary of before. An answer without
 * an epoch (a user may not ask for it) is believed. */
bool redis_search_answer(struct redis_search *s, const struct redis_place *answer)
{
	if (answer->epoch < 0 || answer->epoch >= s->epoch) {
		if (answer->epoch >= 0)
			s->epoch = answer->epoch;
		redis_search_prefer(s, s->order[s->asked]);
		return true;
	}
	if (!s->older++ || answer->epoch > s->best.epoch)
		s->best = *answer;
	s->asked++;
	return false;
}

bool redis_search_settle(struct redis_search *s, struct redis_place *out)
{
	if (2 * s->older <= s->nodes)
		return false;
	s->epoch = s->best.epoch;
	*out = s->best;
	return true;
}

/* --- the questions */

enum redis_peer redis_node_peer(const struct redis_options *o)
{
	return o->sentinel_master ? PEER_SENTINEL : PEER_NODE;
}

#define NODE_TIMEOUT_MS 1000

bool redis_node_options(const struct redis_options *o, size_t i, struct redis_options *out)
{
	if (i >= o->nodes_n)
		return false;
	*out = *o;
	out->nodes_n = 0;
	out->host = o->nodes[i].host;
	out->port = o->nodes[i].port;
	out->db = 0;
	if (!out->timeout_ms || out->timeout_ms > NODE_TIMEOUT_MS)
		out->timeout_ms = NODE_TIMEOUT_MS;
	if (o->sentinel_master) {
		out->username = o->sentinel_username;
		out->password = o->sentinel_password;
		out->tls = o->sentinel_tls;
	}
	return true;
}

static void set_question(struct redis_hello *h, const char *what, const char *master)
{
	*h = (struct redis_hello){.argc = 3, .argv = {"SENTINEL", what, master}};
	for (size_t i = 0; i < 3; i++)
		h->len[i] = strlen(h->argv[i]);
}

bool redis_question(const struct redis_options *o, size_t i, struct redis_hello *out)
{
	if (!o->sentinel_master) {
		redis_hello_slot(o, out);
		return i == 0;
	}
	/* The first is right at once when a failover has decided; the second knows its epoch. */
	set_question(out, i ? "MASTER" : "GET-MASTER-ADDR-BY-NAME", o->sentinel_master);
	return i < 2;
}

static const char *member(const redisReply *r, size_t i)
{
	const char *text =
		r->type == REDIS_REPLY_ARRAY && i < r->elements ? r->element[i]->str : NULL;

	return text ? text : "";
}

static int judge_address(const struct redis_options *o, const redisReply *reply,
	struct redis_place *place, struct why *why)
{
	const char *host = member(reply, 0);

	if (reply->type == REDIS_REPLY_NIL || redis_reply_is(reply, "IDONTKNOW"))
		return why_set(why, CF_ENOTFOUND,
			"it knows no primary of the name \"%s\": check redis.sentinel.master",
			o->sentinel_master);
	if (reply->type == REDIS_REPLY_ERROR)
		return why_set(why, CF_EREDIS, "it answers with an error: %s (is it a Sentinel?)",
			reply->str);
	if (!set_place(host, strlen(host), member(reply, 1), place))
		return why_set(why, CF_EREDIS, "it answers with something that is no address");
	return 0;
}

static void take_epoch(const redisReply *reply, struct redis_place *place)
{
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
		if (!strcmp(member(reply, i), "config-epoch"))
			place->epoch = strtoll(member(reply, i + 1), NULL, 10);
}

static int judge_slot(const struct redis_options *o, const struct redis_options *node,
	const redisReply *reply, struct redis_place *place, struct why *why)
{
	const struct redis_hello h = {.kind = HELLO_SLOT};
	int err;

	if (redis_reply_is(reply, "MOVED") && redis_place_of_moved(reply->str, node->host, place))
		return 0;
	err = redis_hello_judge(o, &h, reply, why);
	if (!err) {
		*place = (struct redis_place){.port = node->port, .epoch = -1};
		snprintf(place->host, sizeof place->host, "%s", node->host);
	}
	return err;
}

int redis_question_judge(const struct redis_options *o, const struct redis_options *node, size_t i,
	const redisReply *reply, struct redis_place *place, struct why *why)
{
	if (!o->sentinel_master)
		return judge_slot(o, node, reply, place, why);
	if (i == 0)
		return judge_address(o, reply, place, why);
	take_epoch(reply, place);
	return 0;
}
