"""Nothing that was said is lost or said twice, and nothing goes back."""
import collections

from records import entry_key, token_ms

REVIEW_MS = 70000  # the scheduler looks at open alerts each minute
CERTIFICATE = ("certificate.issued", "certificate.renewed")
SPECIAL = {"expiry", "parked"}  # conditions that no job keeps
LATE = 0.3         # the part of its life in which a certificate is an alert


def check_delivery(f):
    """What the streams hold was seen by both subscribers; what was seen and is gone was lost with Redis."""
    held = {(e["stream"], e["entry"], e["id"]): e for e in [*f.results, *f.alerts]}
    for reader in ("seen_group", "seen_plain"):
        seen = {(e["stream"], e["entry"], e["id"]): e for e in f.h[reader]}
        for key, e in held.items():
            if key not in seen:
                f.wrong("delivery", e["subject"], f"{e['id']} ({e['entry']}) never reached {reader}", e["at"])
        for key, e in seen.items():
            if key not in held and reader == "seen_plain":
                f.lost_or_wrong("delivery", e["subject"], f"{e['id']} ({e['entry']}) was said and is gone", e["at"],
                                e["at"])


def check_ids(f):
    """An id is one fact: it stands once in a stream, and says the same whenever it is seen."""
    for stream in (f.results, f.alerts):
        first = {}
        for e in sorted(stream, key=entry_key):
            if e["id"] in first:
                f.wrong("ids", e["subject"], f"{e['id']} was said twice: {first[e['id']]['entry']}, {e['entry']}",
                        e["at"])
            first.setdefault(e["id"], e)
    held = {(e["stream"], e["entry"]) for e in [*f.results, *f.alerts]}
    facts = {}
    for e in [*f.results, *f.alerts, *f.h["seen_plain"], *f.h["seen_group"]]:
        was = facts.setdefault((e["stream"], e["id"]), e)
        if was["data"] != e["data"]:
            gone = was if (was["stream"], was["entry"]) not in held else e
            f.lost_or_wrong("ids", e["subject"], f"{e['id']} says one thing, then another", gone["at"], gone["at"])


def check_certificates(f):
    """Each certificate in a record was announced, and each announcement follows from the one before."""
    for i in {*f.by_endpoint, *f.final["endpoints"]}:
        last, count, at = "", 0, 0
        for e in f.by_endpoint[i]:
            if e["type"] in CERTIFICATE:
                replaced = e["data"].get("replaced", "")
                if replaced != last:
                    f.wrong("certificates", i, f"{e['id']} replaces {replaced or 'nothing'}, the one before it is "
                            f"{last or 'none'}: an announcement is lost", e["at"])
                count, last, at = (count + 1 if replaced else 0), e["data"]["serial"], e["at"]
                if e["data"]["renewals"] != count:
                    f.wrong("certificates", i, f"{e['id']} is renewal {e['data']['renewals']}, {count} were announced",
                            e["at"])
                if last not in f.issued_at:
                    f.wrong("certificates", i, f"{e['id']}: the authority issued no such certificate", e["at"])
            elif e["type"] == "endpoint.removed":
                last, count = "", 0
        now = f.final["endpoints"].get(i)
        if now and now["serial"] != last:
            f.wrong("certificates", i, f"has {now['serial'] or 'no certificate'}, announced was {last or 'none'}", at)


def check_states(f):
    """Each change of state begins where the one before ended, or with nothing in a new life."""
    for i in {*f.by_endpoint, *f.final["endpoints"]}:
        state, fresh = "", True
        for e in f.by_endpoint[i]:
            if e["type"] == "endpoint.removed":
                fresh = True
            elif e["type"] == "endpoint.state":
                before = e["data"]["previous"]
                if before != state and not (fresh and not before):
                    f.wrong("states", i, f"{e['id']}: from {before or 'nothing'} to {e['data']['state']}, but it was "
                            f"{state or 'nothing'}", e["at"])
                fresh = fresh and before != ""
                state = e["data"]["state"]
        now = f.final["endpoints"].get(i)
        if now and now["state"] != state:
            f.wrong("states", i, f"is {now['state']}, said was {state or 'nothing'}")


def check_alerts(f):
    """Opened once, resolved once, in turn; open in the end is what holds, and what holds is open."""
    said = collections.defaultdict(list)
    for e in sorted(f.alerts, key=entry_key):
        kind = e["type"].removeprefix("alert.")
        if kind in ("opened", "escalated", "resolved"):
            said[e["data"]["key"]].append((kind, e))
    open_ = {key: entries[-1][1] for key, entries in said.items() if _is_open(f, key, entries)}
    if sorted(open_) != f.final["alerts_open"]:
        f.wrong("alerts", "", f"said and not resolved: {sorted(open_)}; open in Redis: {f.final['alerts_open']}")
    for key in [*open_, *f.final["alert_members"]]:
        _check_open(f, key)
    for i, now in f.final["endpoints"].items():
        for condition in now["conditions"]:
            if f"{i}/{condition}" not in open_ and f"{i}/{condition}" not in f.final["alert_members"]:
                f.wrong("alerts", i, f"{condition} holds, and no alert is open")


def _is_open(f, key, entries):
    """Whether the last word about a key is that it is open; each word must fit the one before."""
    ordinal, is_open = 0, False
    for kind, e in entries:
        number = int(e["data"]["id"].removeprefix(key + "#"))
        if (kind == "opened") == is_open:
            f.wrong("alerts", e["subject"], f"{e['id']}, but the alert was {'' if is_open else 'not '}open", e["at"])
        if kind == "opened" and number <= ordinal or kind != "opened" and number != ordinal:
            f.wrong("alerts", e["subject"], f"{e['id']} after number {ordinal} of its key", e["at"])
        ordinal, is_open = number, kind != "resolved"
    return is_open


def _check_open(f, key):
    """An alert, or a member of an incident, is of a condition that holds, or that ended since it was looked at last."""
    i, _, condition = key.partition("/")
    if key.startswith("incident:") or (i == "fleet" and i not in f.final["endpoints"]):
        return
    now = f.final["endpoints"].get(i)
    recent = _last_change(f, i) > f.final["at"] - REVIEW_MS
    if not (now and holds(now, condition, f.final["at"])) and not (recent and (not now or condition in SPECIAL)):
        f.wrong("alerts", i, f"{key} is open, and the condition does not hold")


def holds(e, condition, at):
    if condition == "expiry":
        return e["not_after"] - at <= LATE * (e["not_after"] - e["issued"]) + 1000
    if condition == "parked":
        return "parked" in ((e[q] or {}).get("where") for q in ("verify", "issue"))
    return condition in e["conditions"]


def _last_change(f, i):
    return max((e["at"] for e in f.by_endpoint[i]), default=0)


def check_overwrites(f):
    """Seen again and again, an endpoint's certificate and generation only go forward."""
    last = {}
    for s in f.h["snapshots"]:
        was, i = last.get(s["endpoint"]), s["endpoint"]
        last[i] = s
        if not was or was.get("gone") or s.get("gone"):
            continue
        for text in _backwards(f, was, s):
            f.lost_or_wrong("overwrites", i, text, was["at"], s["at"])
    _check_tokens(f)


def _backwards(f, was, s):
    if was["created"] != s["created"]:
        return
    if s["generation"] < was["generation"]:
        yield f"generation {was['generation']} became {s['generation']}"
    if was["serial"] != s["serial"] and f.issued_at.get(s["serial"], 0) < f.issued_at.get(was["serial"], 0):
        yield f"certificate {was['serial']} became the older {s['serial'] or '(none)'}"
    if was["serial"] != s["serial"] and s["renewals"] < was["renewals"]:
        yield f"{was['renewals']} renewals became {s['renewals']}"


def token_of(event_id):
    """The token of the run that said this, or ""."""
    kind, sep, rest = event_id.partition("/")
    if kind in ("failed", "dns") and sep:
        return rest.rpartition("/")[2]
    parts = event_id.split(":")
    return parts[2] if parts[0] == "state" and len(parts) == 3 and len(parts[2]) == 32 else ""


def _check_tokens(f):
    """A run whose lease another was given later says nothing after it; only runs that a worker began say anything."""
    queue_of = {r["token"]: (r["endpoint"], r["queue"]) for r in f.h["runs"]}
    last = {}
    for e in sorted(f.results, key=entry_key):
        token = token_of(e["id"])
        if not token:
            continue
        if queue_of.get(token, ("",))[0] != e["subject"]:
            f.wrong("overwrites", e["subject"], f"{e['id']}: no worker began this run", e["at"])
            continue
        was = last.get(queue_of[token], token)
        if token_ms(token) < token_ms(was):
            f.wrong("overwrites", e["subject"], f"{e['id']}: a run ended after a later one, {was}", e["at"])
        last[queue_of[token]] = token
