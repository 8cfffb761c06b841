#include "worker/responders.h"

#include "common/log.h"
#include "common/mem.h"
#include "worker/responders/dns01.h"
#include "worker/responders/http01.h"
#include "worker/worker.h"

#define ZONE_SERIAL 1 /* there are no transfers: it never changes */

struct responders {
	struct http01 *http01;
	struct dns01 *dns01;
};

static struct addr *addresses_of(const struct config_addresses *from)
{
	struct addr *out = mem_array(from->n, sizeof *out);

	for (size_t i = 0; i < from->n; i++)
		out[i] = from->items[i].addr;
	return out;
}

static void say_listening(const char *what, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	LOG(INFO, "listening", LF("responder", what), LF("address", addr_format(a, text)));
}

static int start_http01(struct worker *w, struct why *why)
{
	const struct config_addresses *listen = &w->config->worker.http_01.listen;
	_mem_free_ struct addr *addresses = addresses_of(listen);
	const struct http01_options options = {
		.listen = addresses, .n_listen = listen->n, .reuseport = true};
	int err = http01_new(&w->loop, w->redis, &options, &w->responders->http01, why);

	for (size_t i = 0; !err && i < listen->n; i++)
		say_listening("http-01", http01_address(w->responders->http01, i));
	return err;
}

static int start_dns01(struct worker *w, struct why *why)
{
	const struct config *c = w->config;
	const struct config_addresses *listen = &c->worker.dns_01.listen;
	_mem_free_ struct addr *addresses = addresses_of(listen);
	_mem_free_ struct dns_nameserver *servers =
		mem_array(c->challenges.nameservers.n, sizeof *servers);
	struct dns01_options options = {
		.listen = addresses,
		.n_listen = listen->n,
		.reuseport = true,
		.zones = {.zones = (const char *const *)c->challenges.zones.items,
			.n_zones = c->challenges.zones.n,
			.nameservers = servers,
			.n_nameservers = c->challenges.nameservers.n,
			.serial = ZONE_SERIAL},
	};
	int err;

	for (size_t i = 0; i < c->challenges.nameservers.n; i++) {
		const struct config_nameserver *from = &c->challenges.nameservers.items[i];

		servers[i] = (struct dns_nameserver){.name = from->name,
			.addresses = addresses_of(&from->addresses),
			.n_addresses = from->addresses.n};
	}
	err = dns01_new(&w->loop, w->redis, &options, &w->responders->dns01, why);
	for (size_t i = 0; i < c->challenges.nameservers.n; i++)
		free((void *)(uintptr_t)servers[i].addresses);
	for (size_t i = 0; !err && i < listen->n; i++)
		say_listening("dns-01", dns01_address(w->responders->dns01, i));
	return err;
}

int responders_start(struct worker *w, struct why *why)
{
	int err = 0;

	w->responders = mem_zalloc(sizeof *w->responders);
	if (w->config->worker.roles & ROLE_HTTP_01)
		err = start_http01(w, why);
	if (!err && w->config->worker.roles & ROLE_DNS_01)
		err = start_dns01(w, why);
	return err;
}

void responders_drain(struct worker *w, int64_t grace_ms, void (*done)(void *arg), void *arg)
{
	if (w->responders && w->responders->http01)
		http01_drain(w->responders->http01, grace_ms, done, arg);
	else
		done(arg);
}

void responders_stop(struct worker *w)
{
	if (!w->responders)
		return;
	http01_free(w->responders->http01);
	dns01_free(w->responders->dns01);
	free(w->responders);
	w->responders = NULL;
}
