/* alertmanager.h - alerts as Alertmanager's API v2 takes them (POST /api/v2/alerts). Functions of
 * values.
 *
 * Labels say which alert it is: alertname (the condition in camel case), fleet, condition,
 * severity, actor, and endpoint, tenant, cause if there are. When severity or actor changes the
 * labels do, so that what was said before is ended in the same request. Alertmanager forgets what
 * is not said again before its endsAt.
 */
#pragma once

#include "common/buf.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/** Appends to list what an alert's data (msgpack, as on the stream or in its record) says: one that
 * is open until now_ms + valid_ms, one that is resolved since then. CF_EPROTO. */
int alertmanager_add(json_t *list, const char *fleet, const void *data, size_t n, int64_t now_ms,
	int64_t valid_ms);
/** "dns_provider" → "DnsProvider". */
void alertmanager_name(const char *condition, char *out, size_t size);
