"""Every order at the authority has its reason; one more than needed has its cause among the faults.

    an order ─┬─ its certificate was announced ─── and was due, asked for or first ───► accounted
              ├─ its attempt failed, and said so ─────────────────────────────────────► accounted
              ├─ its endpoint was changed or removed meanwhile ───────────────────────► accounted
              └─ else it is extra: allowed once for each fault and job, by what the fault could take away
"""
import collections


LOG_MS = 300            # between what happened and its line in a log
CLOCK_MS = 1500         # between a line of a log and our reading of it
LATE_MS = 20000         # an answer, or a lapse, may follow a fault by so much
REDIS = {"redis"}
CERTIFICATE = ("certificate.issued", "certificate.renewed")


def assign(f):
    """{order id: (order, attempt)}: which run placed it. Orders whose answer was lost are known by their time alone."""
    by_order = {a["order"]: a for a in f.h["attempts"] if a["order"]}
    out, free = {}, sorted((a for a in f.h["attempts"] if not a["order"]), key=lambda a: a["at"])
    orders = sorted(f.h["orders"].values(), key=lambda o: o["at"])
    for order in orders:
        attempt = by_order.get(order["order"])
        if not attempt:
            attempt = _nearest(free, order["at"])
            if attempt:
                free.remove(attempt)
        if not attempt:  # a lost answer, after which the same run placed another
            attempt = _nearest([a for a in f.h["attempts"] if not a["saved"] or a["saved"] >= order["at"]], order["at"])
        out[order["order"]] = (order, attempt)
    return out


def _nearest(attempts, at):
    """The last one begun before at."""
    before = [a for a in attempts if at - LATE_MS <= a["at"] <= at + CLOCK_MS]
    return max(before, key=lambda a: a["at"], default=None)


def check_orders(f):
    f.counts = collections.Counter()
    placed = collections.defaultdict(list)
    for order, attempt in assign(f).values():
        if attempt:
            placed[attempt["endpoint"]].append((order, attempt))
        else:
            f.wrong("orders", "", f"order {order['order']}: no worker was about to place one", order["at"])
    for i, orders in placed.items():
        _check_endpoint(f, i, orders)
    f.counts["orders"] = len(f.h["orders"])
    f.counts["certificates"] = len(f.issued_at)


def _check_endpoint(f, i, orders):
    """orders by time: [(order, attempt)]."""
    events = f.seen_by_endpoint[i]
    announced = {e["data"]["serial"]: e for e in events if e["type"] in CERTIFICATE}
    adopted, used = None, set()
    for n, (order, attempt) in enumerate(orders):
        until = orders[n + 1][0]["at"] if n + 1 < len(orders) else f.final["at"]
        _check_key(f, i, order, until, events)
        if order["serial"] in announced:
            event = announced[order["serial"]]
            why = reason(f, adopted, event, order, events)
            if not why:
                _extra(f, i, order, attempt, used, "not needed")
            f.counts[why or "extra"] += 1
            adopted = event
            continue
        why = _ended(f, i, order, until, events)
        if why:
            f.counts[why] += 1
        else:
            f.counts["extra"] += 1
            _extra(f, i, order, attempt, used, "certificate lost" if order["serial"] else "abandoned")


def _check_key(f, i, order, until, events):
    """Behind a barrier the key of a certificate that was asked for is never lost, so that it is in force in the end."""
    kept = {e["data"]["serial"] for e in f.by_endpoint[i] if e["type"] in CERTIFICATE}
    asked = f.settings.get("barrier") and order["serial"]
    if asked and order["serial"] not in kept and not _ended(f, i, order, until, events):
        f.wrong("orders", i, f"the key of certificate {order['serial']} is lost in spite of the barrier", order["issued"])


def reason(f, was, event, order, events):
    """Why an order whose certificate was announced was needed; "" if it was not. was: the announcement before."""
    if not was or _between(events, "endpoint.removed", was["at"], event["at"]):
        return "first"
    if sorted(was["data"]["names"]) != sorted(event["data"]["names"]):
        return "names changed"
    had = min(was["at"], f.issued_at.get(was["data"]["serial"], was["at"]))  # it may have been written later
    asked = _asked(f, event["subject"], events, had - CLOCK_MS, order["at"] + CLOCK_MS)
    if "renew" in asked:
        return "asked to renew"
    if _revoking(f, event["subject"], events, order):
        return "replaces a revoked one"
    if was["data"]["renew_at"] <= order["at"] + CLOCK_MS:
        return "due"
    if "update" in asked:  # to other names and back
        return "names changed"
    return ""


def _between(events, kind, since, until):
    return any(e["type"] == kind and since <= e["at"] <= until for e in events)


def _asked(f, i, events, since, until):
    """What was asked and done meanwhile. Behind a barrier it is done before it is said: then whoever asks counts."""
    out = {e["data"]["request"].removeprefix("endpoint.") for e in events
           if e["type"] == "request.done" and e["data"]["status"] == "done" and since <= e["at"] <= until}
    if f.settings.get("barrier"):
        out |= {a["op"] for a in f.h["asks"] if a["endpoint"] == i and a["status"] != "refused"
                and a["sent"] <= until and since <= (a["answered"] or 9e15)}
    return out


def _revoking(f, i, events, order):
    """A revocation was asked for before the order, and not done then."""
    done = [e["at"] for e in events if e["type"] == "certificate.revoked" and e["at"] <= order["at"]]
    return "revoke" in _asked(f, i, events, max(done, default=0) + 1, order["at"] + CLOCK_MS)


def _ended(f, i, order, until, events):
    """Why an order without a certificate of ours came to nothing in the ordinary way, or ""."""
    for x in f.h["failures"]:
        if x["event"] == "issuance_failed" and x["endpoint"] == i and order["at"] <= x["at"] <= until + CLOCK_MS:
            return "attempt failed"
    for kind in ("endpoint.removed", "endpoint.updated"):
        if _between(events, kind, order["at"] - CLOCK_MS, until + CLOCK_MS):
            return "config changed"
    if any(a["endpoint"] == i and a["op"] in _deeds(f) and a["sent"] <= until for a in f.h["asks"]
           if order["at"] <= (a["answered"] or 9e15)):
        return "config changed"
    edits = [d for d in f.h["dns"] if d["endpoint"] == i]
    if until == f.final["at"] and edits and not edits[-1]["right"] and edits[-1]["at"] >= order["at"]:
        return "its DNS broke"  # and stayed so: the order is kept for when it is right
    return ""


def _deeds(f):
    """Requests that may change an endpoint before anything is said of them: a removal cancels at once, and behind a
    barrier all is said later."""
    return ("remove", "update") if f.settings.get("barrier") else ("remove",)


def _extra(f, i, order, attempt, used, what):
    """An order too many: its cause, each fault once an endpoint; without one a finding."""
    text = f"order {order['order']} by {attempt['worker']}: {what}"
    for since, cause in causes(f, order, attempt):
        if cause not in used:
            used.add(cause)
            f.allow("extra order", i, text, order["at"],
                    f"{cause[0]} {cause[1]} {(order['at'] - since) / 1000:+.1f} s before it")
            return
    f.wrong("orders", i, f"{text}, and nothing explains it", order["at"])


RANK = ("kill", "stop", "term", "partition", "refuse", "cut", "cut_before", "cut_after", "delay", "primary_kill",
        "primary_stop", "failover", "redis_power", "redis_kill", "redis_stop", "client_kill", "script_flush",
        "pebble_stop")


def causes(f, order, attempt):
    """What can have cost an order, the likeliest first: [(since, (what, target, when))].

    Once its URL was checkpointed, only a write that Redis lost. Before, whatever let the worker die, stand still or be
    cut off between newOrder and the checkpoint, and an authority that did not answer.
    """
    if attempt["saved"]:
        return [(x["from"], (x["cause"], "", x["from"])) for x in f.h["losses"]
                if x["from"] <= attempt["saved"] + LOG_MS and order["at"] <= x["to"]]
    until = max(order["at"], attempt["at"]) + f.settings["lease_ms"]
    found = f.faults(attempt["at"] - CLOCK_MS, until, {attempt["worker"], "pebble"} | REDIS)
    found.sort(key=lambda x: (x["from"] > order["at"] + LOG_MS, RANK.index(x["what"])))
    return [(x["from"], (x["what"], x["target"], x["from"])) for x in found]


def check_revocations(f):
    """Nothing is revoked that nobody asked to revoke."""
    asked = {a["endpoint"] for a in f.h["asks"] if a["op"] == "revoke"}
    owner = {e["data"]["serial"]: e["subject"] for e in f.seen.values() if e["type"] in CERTIFICATE}
    for serial, certificate in f.h["certificates"].items():
        if certificate["status"] == "Revoked" and owner.get(serial) not in asked:
            f.wrong("orders", owner.get(serial, ""), f"certificate {serial} was revoked, and nobody asked for it")


def check_accounts(f):
    """The fleet has one account at the authority."""
    for at in f.h["accounts"][1:]:
        f.lost_or_wrong("orders", "", "another account was registered", at - LATE_MS, at, acknowledged=True)
