/* event.h - what is said on the streams, in one place.
 *
 * Requests come in and events go out as CloudEvents attributes in stream fields (design section 4);
 * data is a msgpack map. Ids are deterministic: the same fact has the same id, so consumers drop
 * repeats by it.
 */
#pragma once

#define EVENT_ISSUED           "certfleet.certificate.issued"
#define EVENT_RENEWED          "certfleet.certificate.renewed"
#define EVENT_REVOKED          "certfleet.certificate.revoked"
#define EVENT_SERVED           "certfleet.certificate.served"
#define EVENT_FAILED           "certfleet.issuance.failed"
#define EVENT_DNS_CHANGED      "certfleet.dns.changed"
#define EVENT_ADDED            "certfleet.endpoint.added"
#define EVENT_UPDATED          "certfleet.endpoint.updated"
#define EVENT_REMOVED          "certfleet.endpoint.removed"
#define EVENT_STATE            "certfleet.endpoint.state"
#define EVENT_REQUEST_DONE     "certfleet.request.done"
#define EVENT_REQUEST_REFUSED  "certfleet.request.refused"
#define EVENT_ALERT_OPENED     "certfleet.alert.opened"
#define EVENT_ALERT_ESCALATED  "certfleet.alert.escalated"
#define EVENT_ALERT_RESOLVED   "certfleet.alert.resolved"
#define EVENT_ALERT_UNSILENCED "certfleet.alert.unsilenced"
#define EVENT_ALERT_SNAPSHOT   "certfleet.alert.snapshot"
#define EVENT_HEARTBEAT        "certfleet.heartbeat"

/* Requests (stream `requests`): type and data.
 *
 *   endpoint.add     { id?, tenant?, names: [..], type: "external"|"internal", target?, authority?,
 * profile?, zone?, key_type? } endpoint.update  { id, and any of the others } endpoint.remove  { id
 * } endpoint.verify  { id } endpoint.renew   { id } endpoint.revoke  { id, reason?:
 * "unspecified"|"keyCompromise"|"superseded"|"cessationOfOperation"|… }
 *
 * All but endpoint.add take generation?, too: the endpoint's must still be this one, or the request
 * is refused as "stale".
 *
 * Without id one is made from the first name ("shop.example.com"; a wildcard gives
 * "wildcard.example.com"), with "-2", "-3" … when another tenant has it. The answer, under
 * req:SOURCE:ID for 24 h and as the data of request.done / .refused: { V: 1, status:
 * "done"|"refused", request: TYPE, source, id (of the request), endpoint, generation, code: "" |
 * "invalid"|"exists"|"not_found"|"held"|"unknown_authority"…, text }
 */
#define REQUEST_ADD    "endpoint.add"
#define REQUEST_UPDATE "endpoint.update"
#define REQUEST_REMOVE "endpoint.remove"
#define REQUEST_VERIFY "endpoint.verify"
#define REQUEST_RENEW  "endpoint.renew"
#define REQUEST_REVOKE "endpoint.revoke"

/* Conditions (fields av, ai: msgpack map code → { since, severity, actor, deadline, text }) become
 * edges (stream `edges`: type = the code, subject = endpoint, data below) and then alerts: { V: 1,
 * condition, open: bool, endpoint, tenant, since, severity: "info"|"warning"|"critical", actor:
 * "owner"|"operator"|"authority"|"nobody", cause?: what many have in common (README.md, Causes),
 * deadline, text, fix, next } The alert's key is "ENDPOINT/CONDITION" (fleet conditions:
 * "fleet/CONDITION", or "fleet/CONDITION:WHAT" for one of several); its id "KEY#ORDINAL".
 */

/* Workers: ZSET `workers` (name by last beat, Redis ms) and HASH `w:NAME`
 *   { version, host, pid, started, roles, beat, verify_running, verify_slots, issue_running,
 * issue_slots, http01, dns01, looked, turned, trouble } where looked and turned count names of the
 * last quarter of an hour (worker/doubt.h), trouble is "", "resolver", "zone_ds" or
 * "zone_not_delegated", http01 and dns01 are space-separated ADDRESS:PORT of its
 * responders.
 */
