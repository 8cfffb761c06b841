#include "common/addr.h"

#include "common/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- reading and printing */

void addr_from_v4(const uint8_t bytes[4], uint16_t port, struct addr *out)
{
	*out = (struct addr){.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
	memcpy(&out->in.sin_addr, bytes, 4);
}

void addr_from_v6(const uint8_t bytes[16], uint16_t port, struct addr *out)
{
	*out = (struct addr){.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
	memcpy(&out->in6.sin6_addr, bytes, 16);
}

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *out)
{
	if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return CF_EINVAL;
	memset(out, 0, sizeof(*out));
	if (sa->sa_family == AF_INET)
		memcpy(&out->in, sa, sizeof(out->in));
	else
		memcpy(&out->in6, sa, sizeof(out->in6));
	return 0;
}

static int bad(struct why *why, const char *text, const char *expected)
{
	char clean[80];

	return why_set(why, CF_EINVAL, "\"%s\": %s",
		str_clean(text, strlen(text), clean, sizeof(clean)), expected);
}

static int take_port(const char *text, const char *port, uint16_t *out, struct why *why)
{
	uint64_t n;

	if (str_parse_u64(port, UINT16_MAX, &n) != 0)
		return bad(why, text, "the port must be a number from 0 to 65535");
	*out = (uint16_t)n;
	return 0;
}

int addr_split(const char *text, uint16_t default_port, char host[ADDR_HOST_SIZE], uint16_t *port,
	struct why *why)
{
	const char *begin = text, *end = text + strlen(text), *p = NULL;
	const char *colon = strrchr(text, ':');
	uint16_t got = default_port;

	if (text[0] == '[') {
		begin = text + 1;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return bad(why, text, "expected [IPv6 address] or [IPv6 address]:port");
		p = end[1] ? end + 2 : NULL;
	} else if (colon && strchr(text, ':') == colon) {
		end = colon;
		p = colon + 1;
	}
	size_t n = (size_t)(end - begin);
	if (n == 0 || n >= ADDR_HOST_SIZE)
		return bad(why, text, n ? "the host is too long" : "the host is missing");
	if (!p && !default_port)
		return bad(why, text, "a port is missing (host:port)");
	int err = p ? take_port(text, p, &got, why) : 0;
	if (err)
		return err;
	memcpy(host, begin, n);
	host[n] = '\0';
	*port = got;
	return 0;
}

int addr_parse(const char *text, uint16_t default_port, struct addr *out, struct why *why)
{
	char host[ADDR_HOST_SIZE];
	uint16_t port;
	uint8_t v4[4], v6[16];
	int err = addr_split(text, default_port, host, &port, why);

	if (err)
		return err;
	if (text[0] != '[' && inet_pton(AF_INET, host, v4) == 1) {
		addr_from_v4(v4, port, out);
		return 0;
	}
	if (inet_pton(AF_INET6, host, v6) == 1) {
		addr_from_v6(v6, port, out);
		return 0;
	}
	return bad(why, text,
		"expected an IP address as 192.0.2.1, 192.0.2.1:53, 2001:db8::1 or "
		"[2001:db8::1]:53");
}

char *addr_format_host(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
	const void *bytes = a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr
						       : (const void *)&a->in6.sin6_addr;

	if (!addr_len(a) || !inet_ntop(a->sa.sa_family, bytes, out, ADDR_TEXT_SIZE))
		snprintf(out, ADDR_TEXT_SIZE, "none");
	return out;
}

char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
	char host[ADDR_TEXT_SIZE];

	addr_format_host(a, host);
	if (a->sa.sa_family == AF_INET6)
		snprintf(out, ADDR_TEXT_SIZE, "[%.50s]:%u", host, addr_port(a));
	else
		snprintf(out, ADDR_TEXT_SIZE, "%.50s:%u", host, addr_port(a));
	return out;
}

socklen_t addr_len(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return sizeof(a->in);
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : 0;
}

uint16_t addr_port(const struct addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else
		a->in.sin_port = htons(port);
}

bool addr_equal_host(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_equal_host(a, b) && addr_port(a) == addr_port(b);
}

/* --- judging */

static const struct v4_block {
	uint32_t base;
	uint8_t bits;
	const char *word;
} v4_blocks[] = {
	/* Clouds' metadata services first: they lie inside the wider blocks, or in public space. */
	{0xa9fea9fe, 32, "metadata"},      /* 169.254.169.254 */
	{0xa9fea9fd, 32, "metadata"},      /* 169.254.169.253, Amazon's resolver */
	{0xa83f8110, 32, "metadata"},      /* 168.63.129.16, Azure */
	{0x646464c8, 32, "metadata"},      /* 100.100.100.200, Alibaba */
	{0xc00000c0, 32, "metadata"},      /* 192.0.0.192, Oracle */
	{0x00000000, 8, "unspecified"},    /* RFC 1122 */
	{0x0a000000, 8, "private"},        /* RFC 1918 */
	{0x64400000, 10, "shared"},        /* RFC 6598 */
	{0x7f000000, 8, "loopback"},       /* RFC 1122 */
	{0xa9fe0000, 16, "link-local"},    /* RFC 3927 */
	{0xac100000, 12, "private"},       /* RFC 1918 */
	{0xc0000000, 24, "reserved"},      /* RFC 6890 */
	{0xc0000200, 24, "documentation"}, /* RFC 5737 */
	{0xc0586300, 24, "reserved"},      /* RFC 7526 */
	{0xc0a80000, 16, "private"},       /* RFC 1918 */
	{0xc6120000, 15, "reserved"},      /* RFC 2544 */
	{0xc6336400, 24, "documentation"}, /* RFC 5737 */
	{0xcb007100, 24, "documentation"}, /* RFC 5737 */
	{0xe0000000, 4, "multicast"},      /* RFC 5771 */
	{0xf0000000, 4, "reserved"},       /* RFC 1112, broadcast within */
};

/* inner: the byte where an embedded IPv4 address stands; 0: none. */
static const struct v6_block {
	uint8_t base[16];
	uint8_t bits, inner;
	const char *word; /* NULL: ordinary unless the inner address is not */
} v6_blocks[] = {
	{{0}, 128, 0, "unspecified"}, {{[15] = 1}, 128, 0, "loopback"},
	{{[10] = 0xff, [11] = 0xff}, 96, 12, "embedded"},            /* ::ffff:0:0/96, mapped */
	{{[8] = 0xff, [9] = 0xff}, 96, 12, "embedded"},              /* ::ffff:0:0:0/96, RFC 2765 */
	{{0}, 96, 12, "embedded"},                                   /* compatible */
	{{0, 0x64, 0xff, 0x9b}, 96, 12, NULL},                       /* NAT64, RFC 6052 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, 0, "private"},             /* RFC 8215 */
	{{0x20, 0x02}, 16, 2, NULL},                                 /* 6to4, RFC 3056 */
	{{0x20, 0x01, 0, 0}, 32, 4, "embedded"},                     /* Teredo, RFC 4380 */
	{{0x20, 0x01, 0x0d, 0xb8}, 32, 0, "documentation"},          /* RFC 3849 */
	{{0x20, 0x01}, 23, 0, "reserved"},                           /* RFC 2928 */
	{{0x3f, 0xff}, 20, 0, "documentation"},                      /* RFC 9637 */
	{{0xfd, 0, 0x0e, 0xc2, [14] = 2, 0x54}, 128, 0, "metadata"}, /* fd00:ec2::254, Amazon */
	{{0xfd, 0, 0x0e, 0xc2, [14] = 2, 0x53}, 128, 0,
		"metadata"},                 /* fd00:ec2::253, its resolver */
	{{0xfc}, 7, 0, "private"},           /* RFC 4193 */
	{{0xfe, 0x80}, 10, 0, "link-local"}, /* RFC 4291 */
	{{0xfe, 0xc0}, 10, 0, "private"},    /* RFC 3879 */
	{{0xff}, 8, 0, "multicast"},         /* RFC 4291 */
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static const char *unsafe_v4(const uint8_t *bytes)
{
	uint32_t ip = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
		      (uint32_t)bytes[2] << 8 | bytes[3];

	for (size_t i = 0; i < sizeof(v4_blocks) / sizeof(v4_blocks[0]); i++)
		if (((ip ^ v4_blocks[i].base) >> (32 - v4_blocks[i].bits)) == 0)
			return v4_blocks[i].word;
	return NULL;
}

static const char *unsafe_v6(const uint8_t *bytes)
{
	for (size_t i = 0; i < sizeof(v6_blocks) / sizeof(v6_blocks[0]); i++) {
		const struct v6_block *b = &v6_blocks[i];

		if (!same_bits(bytes, b->base, b->bits))
			continue;
		const char *inner = b->inner ? unsafe_v4(bytes + b->inner) : NULL;
		return inner ? inner : b->word;
	}
	return (bytes[0] & 0xe0) == 0x20 ? NULL : "reserved"; /* only 2000::/3 is handed out */
}

const char *addr_unsafe(const struct addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return unsafe_v4((const uint8_t *)&a->in.sin_addr);
	return a->sa.sa_family == AF_INET6 ? unsafe_v6(a->in6.sin6_addr.s6_addr) : "unspecified";
}

static const uint8_t *addr_bytes(const struct addr *a, unsigned *bits)
{
	*bits = a->sa.sa_family == AF_INET ? 32 : 128;
	return a->sa.sa_family == AF_INET ? (const uint8_t *)&a->in.sin_addr
					  : a->in6.sin6_addr.s6_addr;
}

int addr_range_parse(const char *text, struct addr_range *out, struct why *why)
{
	char host[ADDR_HOST_SIZE];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct addr_range r = {0};
	uint8_t v4[4], v6[16];
	unsigned max;
	uint64_t bits;

	if (n >= sizeof(host))
		return bad(why, text, "expected a network as 10.0.0.0/8 or fd00::/8");
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, v4) == 1)
		addr_from_v4(v4, 0, &r.base);
	else if (inet_pton(AF_INET6, host, v6) == 1)
		addr_from_v6(v6, 0, &r.base);
	else
		return bad(why, text, "expected a network as 10.0.0.0/8 or fd00::/8");
	const uint8_t *bytes = addr_bytes(&r.base, &max);
	bits = max;
	if (slash && str_parse_u64(slash + 1, max, &bits) != 0)
		return bad(why, text, "the prefix length is not within the address");
	for (unsigned i = (unsigned)bits; i < max; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			return bad(why, text, "bits after the prefix must be zero");
	r.bits = (uint8_t)bits;
	*out = r;
	return 0;
}

bool addr_range_has(const struct addr_range *range, const struct addr *a)
{
	unsigned max;

	if (a->sa.sa_family != range->base.sa.sa_family)
		return false;
	return same_bits(addr_bytes(a, &max), addr_bytes(&range->base, &max), range->bits);
}

/* --- sockets */

static int bound_socket(const struct addr *a, int type, bool reuseport, struct why *why)
{
	char text[ADDR_TEXT_SIZE];
	int one = 1;
	int fd = socket(a->sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr_format(a, text);
	if (fd < 0)
		return why_set(
			why, CF_EIO, "cannot make a socket for %s: %s", text, strerror(errno));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (a->sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, &a->sa, addr_len(a)) != 0) {
		int err = errno;
		close(fd);
		return why_set(why, CF_EIO, "cannot listen on %s: %s%s", text, strerror(err),
			err == EADDRINUSE ? " (another process has it)"
			: err == EACCES   ? " (ports below 1024 need CAP_NET_BIND_SERVICE)"
					  : "");
	}
	return fd;
}

int addr_listen_tcp(const struct addr *a, bool reuseport, struct why *why)
{
	char text[ADDR_TEXT_SIZE];
	int fd = bound_socket(a, SOCK_STREAM, reuseport, why);

	if (fd >= 0 && listen(fd, SOMAXCONN) != 0) {
		int err = errno;
		close(fd);
		return why_set(why, CF_EIO, "cannot listen on %s: %s", addr_format(a, text),
			strerror(err));
	}
	return fd;
}

int addr_bind_udp(const struct addr *a, bool reuseport, struct why *why)
{
	return bound_socket(a, SOCK_DGRAM, reuseport, why);
}

int addr_of_socket(int fd, struct addr *out)
{
	struct addr a = {0};
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) != 0 || !addr_len(&a))
		return CF_EIO;
	*out = a;
	return 0;
}
