/* addr.h - IP addresses with ports: read, printed, compared, judged, listened on.
 *
 * Customers choose where we connect (their names resolve to whatever they like), so every address
 * that came from outside is judged by addr_unsafe() before a packet goes to it, and the very
 * address that was judged is the one that is used. Pure values; nothing here resolves names.
 */
#pragma once

#include "common/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/** IPv4 or IPv6 with a port. Zeroed means none. Copied freely. */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

#define ADDR_TEXT_SIZE 72 /* "[v6%scope]:port" and the NUL */
#define ADDR_HOST_SIZE 254

/** Reads "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53".
 * Port 0 is allowed (any free one) when listening. CF_EINVAL with a why that quotes the text. */
int addr_parse(const char *text, uint16_t default_port, struct addr *out, struct why *why);
/** Splits "host", "host:port", "[v6]:port" or a bare IPv6 address into host (without brackets) and
 * port; default_port 0 means that a port must be given. Does not look at what kind of host it is.
 * CF_EINVAL. */
int addr_split(const char *text, uint16_t default_port, char host[ADDR_HOST_SIZE], uint16_t *port,
	struct why *why);
/** From 4 or 16 bytes in network order. */
void addr_from_v4(const uint8_t bytes[4], uint16_t port, struct addr *out);
void addr_from_v6(const uint8_t bytes[16], uint16_t port, struct addr *out);
/** Copies a sockaddr of one of the two families. CF_EINVAL for another. */
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *out);

/** "192.0.2.1:53" or "[2001:db8::1]:53"; returns out. */
char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE]);
/** Without port and brackets; returns out. */
char *addr_format_host(const struct addr *a, char out[ADDR_TEXT_SIZE]);
/** The length for connect(), bind() and their like; 0 for none. */
socklen_t addr_len(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/** Same family, address and port. */
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_equal_host(const struct addr *a, const struct addr *b);

/** Why no packet may go there on a stranger's word: "loopback", "link-local", "private",
 * "metadata", "multicast", "reserved", "unspecified", "shared" (RFC 6598), "documentation"; for an
 * IPv6 address that embeds an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) the word for the
 * inner one, or "embedded". NULL when it is an ordinary public address. Static text. */
const char *addr_unsafe(const struct addr *a);

/** A network: "10.0.0.0/8", "fd00::/8", or a single address. Host bits must be zero. */
struct addr_range {
	struct addr base; /* port 0 */
	uint8_t bits;
};

int addr_range_parse(const char *text, struct addr_range *out, struct why *why);
bool addr_range_has(const struct addr_range *range, const struct addr *a);

/** A bound, non-blocking, close-on-exec socket, IPv6 ones IPv6-only. reuseport lets several
 * processes share the port. Returns the descriptor (you own it) or a negative CF_E* with a why that
 * names the address. */
int addr_listen_tcp(const struct addr *a, bool reuseport, struct why *why);
int addr_bind_udp(const struct addr *a, bool reuseport, struct why *why);
/** What the socket is bound to. CF_EIO. */
int addr_of_socket(int fd, struct addr *out);
