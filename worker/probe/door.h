/* door.h - the http-01 question as an authority asks it, through a name's front door.
 *
 *	address ── judged ──► GET http://NAME/.well-known/acme-challenge/TOKEN ──► an answer: the
 *end ▲                            │ 301, 302, 307, 308 └── the new host's addresses ◄┘ at most
 *DOOR_REDIRECTS_MAX times, http or https, ports 80 and 443, names only
 *
 * One look is of one address, so that several are told apart. Addresses come from outside, at each
 * redirect anew: each is judged by `allowed`, and the very one that was judged is connected to. All
 * is bounded: the time of a look with all its redirects, bytes of headers and body, redirects, and
 * how many looks run at once; the others wait in a FIFO. Over TLS nothing is verified, as an
 * authority does not either. Belongs to one loop, not thread-safe, does not log.
 */
#pragma once

#include "common/addr.h"
#include "common/names.h"
#include "worker/net/http_url.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define DOORS_MAX          64
#define DOOR_REDIRECTS_MAX 10
#define DOOR_TIMEOUT_MS    10000
#define DOOR_BODY_MAX      1024
#define DOOR_PATH          "/.well-known/acme-challenge/"

struct doors;
struct door;
struct resolver;

/** Copied by doors_new(). */
struct doors_options {
	struct resolver *resolver;                        /* borrowed: for names in redirects */
	bool (*allowed)(void *arg, const struct addr *a); /* NULL: !addr_unsafe() */
	/** Something was heard by IPv6 lately: else silence there is ours. NULL: it is. */
	bool (*hears_ipv6)(void *arg);
	void *arg;
	bool ipv6;                      /* this host speaks it */
	uint16_t http_port, https_port; /* where ports 80 and 443 are; 0: there */
	unsigned max;                   /* live at once; 0: DOORS_MAX */
	int64_t timeout_ms;             /* of one look; 0: DOOR_TIMEOUT_MS */
};

enum door_end {
	DOOR_RIGHT,     /* what is expected came */
	DOOR_FOREIGN,   /* an answer, but not ours */
	DOOR_REFUSED,   /* the port refuses connections */
	DOOR_TIMEOUT,   /* no connection, or no whole answer, in time */
	DOOR_BROKEN,    /* a connection, but no answer that can be read */
	DOOR_AWAY,      /* a redirect that no authority follows, or that may not be followed */
	DOOR_FORBIDDEN, /* the address is none that may be connected to: no packet was sent */
	DOOR_NO_WAY,    /* our network has no way there, which says nothing of the address */
};

/** What one look saw. A value. */
struct door_result {
	enum door_end end;
	unsigned redirects;   /* followed */
	bool path_kept;       /* the path asked for last is the challenge's */
	char what[192];       /* one clause: "HTTP 404 (text/html)"; printable ASCII but for what a
				 server said, which is not cleaned */
	char url[256];        /* asked for last, or where a redirect leads; cut */
	char host[NAME_SIZE]; /* its host */
};

typedef void door_fn(void *arg, const struct door_result *result);

/** Never NULL. */
struct doors *doors_new(uv_loop_t *loop, const struct doors_options *options);
/** Cancels what is under way; memory is freed when the loop has turned. NULL is a no-op. */
void doors_free(struct doors *s);

/** Asks for token at an address (its port does not count) for the name; right is an answer with
 * status 200 and `expected`, but for white space at its end. Texts are copied. fn is called exactly
 * once, never from inside this call, unless door_cancel() came before. Never NULL. */
struct door *door_start(struct doors *s, const struct addr *at, const char *name, const char *token,
	const char *expected, door_fn *fn, void *arg);
/** fn will not be called. NULL is a no-op. */
void door_cancel(struct door *d);
