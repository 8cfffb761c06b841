"""Holds a history against the promises. check() is a pure function; a finding is told with its endpoint's timeline."""
from datetime import datetime, timezone

from check_fleet import check_asks, check_config, check_needs, check_queue
from check_orders import assign, check_accounts, check_orders, check_revocations
from check_streams import (check_alerts, check_certificates, check_delivery, check_ids, check_overwrites, check_states)
from facts import Facts

CHECKS = (check_asks, check_config, check_needs, check_queue, check_delivery, check_ids, check_certificates,
          check_states, check_alerts, check_overwrites, check_orders, check_revocations, check_accounts)
STREAM_CHECKS = ("delivery", "certificates", "states", "alerts", "ids", "asks")


def check(history):
    """Facts with what was found and what was allowed."""
    f = Facts(history)
    for one in CHECKS:
        one(f)
    return f


def command(settings):
    return f"make chaos SEED={settings['seed']} SECONDS={settings['seconds']:g} REDIS={settings['redis']}"


def summary(f):
    """One line of counts, then each allowed loss and extra order with its cause."""
    h, c = f.h, f.counts
    done = sum(1 for a in h["asks"] if a["answered"])
    by_check = {}
    for x in f.findings:
        by_check[x.check] = by_check.get(x.check, 0) + 1
    extra = [x for x in f.allowed if x.what == "extra order"]
    lost = [x for x in f.allowed if x.what != "extra order"]
    reasons = ", ".join(f"{n} {why}" for why, n in sorted(c.items()) if why not in ("orders", "certificates", "extra"))
    lines = [
        f"seed {f.settings['seed']} {f.settings['redis']}: {len(h['faults'])} faults, {len(h['asks'])} requests "
        f"({done} answered), {len(f.final['endpoints'])} endpoints left, {len(f.seen)} results and "
        f"{sum(1 for e in h['seen_plain'] if e['stream'] == 'alerts')} alerts seen, calm after "
        f"{f.settings.get('calm_s')} s ({len(f.settings.get('retried', []))} asked again by an operator)",
        f"  orders {c['orders']}, certificates {c['certificates']}: {reasons}; extra {len(extra)}",
        f"  lost endpoints {by_check.get('config', 0)}, lost results or alerts "
        f"{sum(by_check.get(k, 0) for k in STREAM_CHECKS)}, stale overwrites "
        f"{by_check.get('overwrites', 0)}, unexplained orders {by_check.get('orders', 0)}, unmet needs "
        f"{by_check.get('needs', 0)}, queue and audit {by_check.get('queue', 0)}; allowed losses {len(lost)}"]
    lines += [f"  extra: {clock(x.at)} {x.endpoint} {x.text}: {x.cause}" for x in extra]
    lines += [f"  lost with Redis: {clock(x.at)} {x.endpoint} {x.text}: {x.cause}" for x in lost[:20]]
    if len(lost) > 20:
        lines.append(f"  … and {len(lost) - 20} more")
    return "\n".join(lines)


def findings(f, most=10):
    """Each with all that is known of its endpoint, and how to see it again."""
    out = []
    for n, x in enumerate(f.findings):
        out.append(f"FOUND {x.check}: {x.endpoint} {x.text}" + (f" at {clock(x.at)}" if x.at else ""))
        if n < most and x.endpoint:
            out.append(timeline(f, x.endpoint))
    if f.findings:
        out.append(f"seed {f.settings['seed']}; again: {command(f.settings)}")
    return "\n".join(out)


def clock(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def timeline(f, i):
    """All sources, merged, about one endpoint; and the faults."""
    h, rows = f.h, []

    def row(at, source, text):
        rows.append((at, source, text))
    for a in h["asks"]:
        if a["endpoint"] == i:
            row(a["sent"], "asked", f"{a['op']} {a['id']} {a['data'].get('names', '')} by {a['via']}")
            if a["answered"]:
                row(a["answered"], "answered", f"{a['op']} {a['id']}: {a['status']} {a['code']}")
    for d in h["dns"]:
        if d["endpoint"] == i:
            row(d["at"], "dns", f"{'right' if d['right'] else 'broken'} {' '.join(d['names'])}")
    for e in f.seen_by_endpoint[i]:
        lost = "" if (e["entry"], e["id"]) in f.survived else " (LOST)"
        row(e["at"], "result", f"{e['type']} {e['id']} {brief(e['data'])}{lost}")
    for e in f.alerts:
        if e["subject"] == i:
            row(e["at"], "alert", e["id"])
    for s in h["snapshots"]:
        if s["endpoint"] == i:
            row(s["at"], "record", "gone" if s.get("gone") else
                f"g{s['generation']} {s['state']} {s['serial']} verify: {s['verify']}; issue: {s['issue']}")
    for r in h["runs"]:
        if r["endpoint"] == i:
            row(r["at"], r["worker"], f"{r['queue']} {r['intent']} begins, token …{r['token'][-6:]} {r['token']}")
    for x in h["failures"]:
        if x.get("endpoint") == i:
            row(x["at"], x["worker"], " ".join(x.get(k, "") for k in ("event", "code", "class", "detail", "why")))
    for order, attempt in assign(f).values():
        if attempt and attempt["endpoint"] == i:
            saved = f"saved {clock(attempt['saved'])}" if attempt["saved"] else "not saved"
            row(order["at"], "pebble", f"order {order['order']} for {attempt['worker']}, {saved}")
            for what in ("finalized", "issued"):
                if order[what]:
                    row(order[what], "pebble", f"{what} {order['order']} {order['serial']}")
    for x in h["faults"]:
        row(x["from"], "FAULT", f"{x['what']} {x['target']} until {clock(x['to'])} {x['args'] or ''}")
    for x in h["losses"]:
        row(x["from"], "FAULT", f"may be lost until {clock(x['to'])}: {x['cause']}")
    return "\n".join(f"    {clock(at)} {source:<10} {text}" for at, source, text in sorted(rows))


def brief(data):
    keys = ("state", "previous", "reason", "serial", "replaced", "code", "detail", "request", "status", "generation",
            "names")
    return " ".join(f"{k}={data[k]}" for k in keys if data.get(k))
