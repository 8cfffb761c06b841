#include "worker/diagnose/provider.h"

#include "common/mem.h"
#include "common/names.h"

#include <string.h>

enum {
	CLOUDFLARE,
	ROUTE53,
	GODADDY,
	NAMECHEAP,
	GOOGLE,
	SQUARESPACE,
	IONOS,
	OVH,
	HETZNER,
	DIGITALOCEAN,
	AZURE,
	GANDI,
	DNSIMPLE,
	NS1,
	AKAMAI,
	PORKBUN,
	INWX,
	STRATO,
	NETCUP,
	LINODE,
	VERCEL
};

/* clang-format off */
static const struct provider providers[] = {
	[CLOUDFLARE] = {"Cloudflare", "DNS > Records", "Name", "Target", false, false,
		"CNAME (flattened)", "Proxy status \"DNS only\""},
	[ROUTE53] = {"Amazon Route 53", "Hosted zones > Create record", "Record name", "Value", false, false,
		"A and AAAA with Alias on (only to AWS targets)", NULL},
	[GODADDY] = {"GoDaddy", "DNS > DNS Records", "Name", "Value", false, false, NULL, NULL},
	[NAMECHEAP] = {"Namecheap", "Advanced DNS > Host records", "Host", "Value", false, true, "ALIAS", NULL},
	[GOOGLE] = {"Google Cloud DNS", "Cloud DNS > Zones > Add standard", "DNS name", "Canonical name", false, true,
		"ALIAS", NULL},
	[SQUARESPACE] = {"Squarespace", "Domains > DNS > Custom records", "Host", "Data", false, false, "ALIAS", NULL},
	[IONOS] = {"IONOS", "Domains & SSL > DNS", "Hostname", "Points to", false, false, NULL, NULL},
	[OVH] = {"OVHcloud", "Domain names > DNS zone", "Sub-domain", "Target", false, true, NULL, NULL},
	[HETZNER] = {"Hetzner DNS", "DNS > Zone > Records", "Name", "Value", false, true, NULL, NULL},
	[DIGITALOCEAN] = {"DigitalOcean", "Networking > Domains", "Hostname", "Is an alias of", false, true, NULL, NULL},
	[AZURE] = {"Azure DNS", "DNS zones > Record sets", "Name", "Alias", false, false,
		"an alias record set (only to Azure resources)", NULL},
	[GANDI] = {"Gandi", "Domain > DNS Records", "Name", "Hostname", false, true, "ALIAS", NULL},
	[DNSIMPLE] = {"DNSimple", "Domain > DNS > Record editor", "Name", "Content", false, false, "ALIAS", NULL},
	[NS1] = {"NS1", "Zones > Add record", "Name", "Answer", false, false, "ALIAS", NULL},
	[AKAMAI] = {"Akamai Edge DNS", "Edge DNS > Zone > Records", "Name", "Value", true, true, "AKAMAITLC or ALIAS", NULL},
	[PORKBUN] = {"Porkbun", "Domain management > DNS", "Host", "Answer", false, false, "ALIAS", NULL},
	[INWX] = {"INWX", "Nameservers > Edit", "Name", "Value", true, false, "ALIAS", NULL},
	[STRATO] = {"STRATO", "Domains > DNS", "Prefix", "Value", false, true, NULL, NULL},
	[NETCUP] = {"netcup", "Domains > DNS", "Host", "Destination", false, true, NULL, NULL},
	[LINODE] = {"Akamai Connected Cloud (Linode)", "Domains > CNAME Record", "Hostname", "Alias to", false, false,
		NULL, NULL},
	[VERCEL] = {"Vercel", "Domains > DNS Records", "Name", "Value", false, true, "ALIAS", NULL},
};

static const struct {
	const char *part; /* the end of its name, or with a final "-" something in it */
	int provider;
} servers[] = {
	{"ns.cloudflare.com", CLOUDFLARE}, {"foundationdns.com", CLOUDFLARE}, {"foundationdns.net", CLOUDFLARE},
	{"awsdns-", ROUTE53}, {"domaincontrol.com", GODADDY}, {"registrar-servers.com", NAMECHEAP},
	{"namecheaphosting.com", NAMECHEAP}, {"googledomains.com", GOOGLE}, {"squarespacedns.com", SQUARESPACE},
	{"ui-dns.com", IONOS}, {"ui-dns.de", IONOS}, {"ui-dns.org", IONOS}, {"ui-dns.biz", IONOS},
	{"ovh.net", OVH}, {"ovh.ca", OVH}, {"anycast.me", OVH},
	{"hetzner.com", HETZNER}, {"hetzner.de", HETZNER}, {"second-ns.com", HETZNER}, {"second-ns.de", HETZNER},
	{"digitalocean.com", DIGITALOCEAN}, {"azure-dns.com", AZURE}, {"azure-dns.net", AZURE}, {"azure-dns.org", AZURE},
	{"azure-dns.info", AZURE}, {"gandi.net", GANDI}, {"dnsimple.com", DNSIMPLE}, {"dnsimple-edge.net", DNSIMPLE},
	{"dnsimple-edge.org", DNSIMPLE}, {"nsone.net", NS1}, {"akam.net", AKAMAI}, {"porkbun.com", PORKBUN},
	{"inwx.de", INWX}, {"inwx.eu", INWX}, {"inwx.com", INWX}, {"rzone.de", STRATO}, {"netcup.net", NETCUP},
	{"linode.com", LINODE}, {"vercel-dns.com", VERCEL},
};
/* clang-format on */

const struct provider *provider_of(const char *nameserver)
{
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		const char *part = servers[i].part;

		/* Route 53 has a domain of its own for each of its servers. */
		if (part[strlen(part) - 1] == '-' ? strstr(nameserver, part) != NULL
						  : name_is_under(nameserver, part))
			return &providers[servers[i].provider];
	}
	return NULL;
}
