/* notice.h - one event of the stream `alerts`, as a target is to hear of it. A value. */
#pragma once

#include "common/redis.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTICE_DATA_MAX  65536
#define NOTICE_ENTRY_LEN 48

enum notice_kind { NOTICE_ALERT, NOTICE_SNAPSHOT, NOTICE_HEARTBEAT, NOTICE_OTHER };

struct notice {
	char entry[NOTICE_ENTRY_LEN]; /* id in the stream */
	int64_t at_ms;                /* when it was said, by Redis' clock: from entry */
	enum notice_kind kind;
	char *id, *type, *source, *subject, *time; /* CloudEvents; owned, never NULL */
	void *data;                                /* msgpack; owned */
	size_t len;
	char *key;     /* the alert's; "" if it is none */
	bool silenced; /* it is not to be delivered */
};

/** From an entry of XREADGROUP or XAUTOCLAIM. CF_EPROTO, CF_ETOOBIG: no sender can make anything of
 * it; entry is filled all the same. */
int notice_read(const struct reply *entry, struct notice *out);
void notice_release(struct notice *n);
