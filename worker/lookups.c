#include "worker/lookups.h"

#include "common/clock.h"
#include "common/mem.h"
#include "worker/dns/resolver.h"
#include "worker/dns/survey.h"
#include "worker/probe/door.h"
#include "worker/probe/handshake.h"
#include "worker/worker.h"

#include <unistd.h>

const char *lookups_unsafe(void *arg, const struct addr *a)
{
	const struct config *c = arg;
	const struct config_ranges *allow = &c->network.allow;

	for (size_t i = 0; i < allow->n; i++)
		if (addr_range_has(&allow->items[i], a))
			return NULL;
	return addr_unsafe(a);
}

bool lookups_allowed(void *arg, const struct addr *a)
{
	const struct worker *w = arg;

	return !lookups_unsafe(w->config, a);
}

/* There is a way out, or a range of the configuration says that there is one inside. Sends nothing:
 * connecting a UDP socket only looks for a route. */
static bool speaks_ipv6(const struct config *c)
{
	struct addr root;

	for (size_t i = 0; i < c->network.allow.n; i++)
		if (c->network.allow.items[i].base.sa.sa_family == AF_INET6)
			return true;
	if (addr_parse("[2001:500:2::c]:53", 53, &root, NULL) != 0)
		return false;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool routed = connect(fd, &root.sa, addr_len(&root)) == 0;
	close(fd);
	return routed;
}

static bool hears_ipv6(void *arg)
{
	const struct worker *w = arg;
	int64_t heard = survey_heard_ipv6_ms(w->survey);

	return heard && clock_mono_ms() - heard < CLOCK_DAY_MS;
}

static struct addr *addresses(const struct config_addresses *from)
{
	struct addr *out = mem_array(from->n ? from->n : 1, sizeof *out);

	for (size_t i = 0; i < from->n; i++)
		out[i] = from->items[i].addr;
	return out;
}

void lookups_start(struct worker *w)
{
	const struct config *c = w->config;
	_mem_free_ struct addr *servers = addresses(&c->resolver.servers);
	_mem_free_ struct addr *roots = addresses(&c->resolver.roots);
	const struct resolver_options asked = {.servers = servers,
		.n_servers = c->resolver.servers.n,
		.timeout_ms = c->resolver.timeout_ms};
	const struct survey_options surveyed = {.roots = roots,
		.n_roots = c->resolver.roots.n,
		.port = (uint16_t)c->resolver.authoritative_port,
		.per_second = c->resolver.per_server,
		.allowed = lookups_allowed,
		.arg = w,
		.ipv6 = speaks_ipv6(c)};

	w->exchanger = dns_exchanger_new(&w->loop, 0);
	w->resolver = resolver_new(&w->loop, w->exchanger, &asked);
	w->handshakes = handshakes_new(
		&w->loop, &(struct handshakes_options){.allowed = lookups_allowed, .arg = w});
	w->doors = doors_new(&w->loop, &(struct doors_options){.resolver = w->resolver,
					       .allowed = lookups_allowed,
					       .hears_ipv6 = hears_ipv6,
					       .arg = w,
					       .ipv6 = surveyed.ipv6,
					       .http_port = (uint16_t)c->edge.http_port,
					       .https_port = (uint16_t)c->edge.port});
	w->survey = survey_new(&w->loop, w->exchanger, w->resolver, &surveyed);
}

void lookups_stop(struct worker *w)
{
	doors_free(mem_steal(w->doors));
	handshakes_free(mem_steal(w->handshakes));
	survey_free(mem_steal(w->survey));
	resolver_free(mem_steal(w->resolver));
	dns_exchanger_free(mem_steal(w->exchanger));
}
