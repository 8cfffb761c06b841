#include "worker/diagnose/cdn.h"

#include "common/mem.h"
#include "common/names.h"

struct row {
	const char *text, *cdn;
};

static const struct row names[] = {
	{"cdn.cloudflare.net", "Cloudflare"},
	{"cloudfront.net", "Amazon CloudFront"},
	{"fastly.net", "Fastly"},
	{"fastlylb.net", "Fastly"},
	{"akamai.net", "Akamai"},
	{"akamaiedge.net", "Akamai"},
	{"edgekey.net", "Akamai"},
	{"edgesuite.net", "Akamai"},
	{"azurefd.net", "Azure Front Door"},
	{"azureedge.net", "Azure CDN"},
	{"b-cdn.net", "bunny.net"},
	{"cdn77.org", "CDN77"},
	{"gcdn.co", "Gcore"},
	{"incapdns.net", "Imperva"},
	{"impervadns.net", "Imperva"},
	{"cachefly.net", "CacheFly"},
	{"kxcdn.com", "KeyCDN"},
};

/* As the operators publish them. */
static const struct row ranges[] = {
	{"173.245.48.0/20", "Cloudflare"},
	{"103.21.244.0/22", "Cloudflare"},
	{"103.22.200.0/22", "Cloudflare"},
	{"103.31.4.0/22", "Cloudflare"},
	{"141.101.64.0/18", "Cloudflare"},
	{"108.162.192.0/18", "Cloudflare"},
	{"190.93.240.0/20", "Cloudflare"},
	{"188.114.96.0/20", "Cloudflare"},
	{"197.234.240.0/22", "Cloudflare"},
	{"198.41.128.0/17", "Cloudflare"},
	{"162.158.0.0/15", "Cloudflare"},
	{"104.16.0.0/13", "Cloudflare"},
	{"104.24.0.0/14", "Cloudflare"},
	{"172.64.0.0/13", "Cloudflare"},
	{"131.0.72.0/22", "Cloudflare"},
	{"2400:cb00::/32", "Cloudflare"},
	{"2606:4700::/32", "Cloudflare"},
	{"2803:f800::/32", "Cloudflare"},
	{"2405:b500::/32", "Cloudflare"},
	{"2405:8100::/32", "Cloudflare"},
	{"2a06:98c0::/29", "Cloudflare"},
	{"2c0f:f248::/32", "Cloudflare"},
	{"151.101.0.0/16", "Fastly"},
	{"199.232.0.0/16", "Fastly"},
	{"146.75.0.0/17", "Fastly"},
	{"2a04:4e40::/32", "Fastly"},
	{"2a04:4e42::/32", "Fastly"},
	{"192.88.134.0/23", "Sucuri"},
	{"185.93.228.0/22", "Sucuri"},
};

const char *cdn_of_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (name_is_under(name, names[i].text))
			return names[i].cdn;
	return NULL;
}

const char *cdn_of_address(const struct addr *a)
{
	struct addr_range range;

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (!addr_range_parse(ranges[i].text, &range, NULL) && addr_range_has(&range, a))
			return ranges[i].cdn;
	return NULL;
}
