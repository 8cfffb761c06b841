"""What the fleet writes down, read into plain values: fields of endpoints, stream entries, logs of ours and of Pebble.

Functions of values. Bytes are decoded by the protocol of common/README.md, with no code of certfleet's.
"""
import re
import time
from datetime import datetime

import msgpack

KEY_TYPES = ("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096")  # enum key_type, from 1
WHERE = ("none", "due", "running", "parked")
JOB = "where due lane intent attempt lapses want have token worker since why last lease cancel asked".split()
FIELDS = ("c", "g", "v", "x", "i", "jv", "ji", "o", "d", "n", "s", "av", "ai")


def now_ms():
    return time.time() * 1000


def unpack(raw):
    """msgpack as Python values; texts that are no UTF-8 (keys, certificates) are given as their length."""
    return _plain(msgpack.unpackb(raw, raw=True, strict_map_key=False))


def _plain(v):
    if isinstance(v, bytes):
        try:
            return v.decode()
        except UnicodeDecodeError:
            return f"({len(v)} bytes)"
    if isinstance(v, dict):
        return {_plain(k): _plain(x) for k, x in v.items()}
    return [_plain(x) for x in v] if isinstance(v, list) else v


def job(raw):
    if not raw:
        return None
    record = dict(zip(JOB, unpack(raw)))
    record["where"] = WHERE[record["where"]]
    return record


def wanted(c):
    """endpoint_wanted() of a config: what its certificate must have been issued for."""
    h = 0xcbf29ce484222325
    for text in (*c["n"], c.get("au", ""), c.get("pr", ""), KEY_TYPES[c["kt"] - 1]):
        for byte in text.encode() + b"\n":
            h = (h ^ byte) * 0x100000001b3 % (1 << 64)
    return h >> 1


def endpoint(values):
    """One endpoint from HMGET e:ID FIELDS; None if there is none."""
    f = dict(zip(FIELDS, values))
    if not f["c"]:
        return None
    c, x, i = (unpack(f[k]) if f[k] else {} for k in "cxi")
    v = unpack(f["v"]) if f["v"] else {}
    return {
        "generation": int(f["g"]), "tenant": f["n"].decode(), "state": f["s"].decode() if f["s"] else "",
        "names": sorted(c["n"]), "removing": c.get("rm", False), "created": c.get("cr", 0),
        "renew_asked": c.get("ra", 0), "revoke_asked": c.get("va", 0),
        "serial": serial(x.get("s", "")), "issued": x.get("is", 0), "not_after": x.get("na", 0),
        "renew_at": x.get("ra", 0), "revoked": x.get("rv", 0), "renewals": x.get("rn", 0),
        "wanted": x.get("w", 0), "wanted_now": wanted(c),
        "partial": x.get("p", False),
        "failures": i.get("f", 0), "code": i.get("c", ""), "next": i.get("nx", 0), "revoke_done": i.get("rv", 0),
        "looked_generation": v.get("g", 0), "verify": job(f["jv"]), "issue": job(f["ji"]),
        "checkpoint": f["o"] is not None, "dropped": unpack(f["d"]) if f["d"] else [],
        "conditions": sorted([*(unpack(f["av"]) if f["av"] else {}), *(unpack(f["ai"]) if f["ai"] else {})]),
    }


def serial(text):
    """Serials as one writes them in one way: lower case hex without leading zeros."""
    return text.lower().replace(":", "").lstrip("0")


def entry(stream, entry_id, fields):
    """A stream's entry as the history keeps it; `at` is Redis' time of it in ms."""
    f = {k.decode(): v for k, v in fields.items()}
    out = {"stream": stream, "entry": entry_id.decode(), "at": int(entry_id.split(b"-")[0]), "id": f["id"].decode(),
           "type": f["type"].decode().removeprefix("certfleet."), "subject": f["subject"].decode(),
           "data": unpack(f["data"])}
    for key in ("serial", "replaced"):
        if key in out["data"]:
            out["data"][key] = serial(out["data"][key])
    return out


def entry_key(e):
    """Stream ids as numbers, to compare."""
    ms, n = e["entry"].split("-")
    return int(ms), int(n)


def token_ms(token):
    """When a job's token was given, by Redis' clock: it is in the token (take.lua)."""
    return int(token[16:28], 16)


# --- logs

_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def log_line(line):
    """A logfmt line of ours as a dict with `at` in ms, or None."""
    pairs = {k: v.strip('"') for k, v in _PAIR.findall(line)}
    if "time" not in pairs or "event" not in pairs:
        return None
    try:
        pairs["at"] = datetime.fromisoformat(pairs.pop("time").replace("Z", "+00:00")).timestamp() * 1000
    except ValueError:
        return None
    return pairs


_ADDED = re.compile(r'Added order "([\w-]+)" to the db')
_REPLACES = re.compile(r'ARI: order "([\w-]+)" is a replacement of "([\w-]+)"')
_AUTHORIZED = re.compile(r"Order ([\w-]+) is fully authorized")
_ACCOUNT = re.compile(r"There are now \d+ accounts in memory")
_ISSUED = re.compile(r"Issued certificate serial (\w+) for order ([\w-]+)")


def pebble_order(orders, at, line):
    """Takes what a line of Pebble's log says into orders {id: {order, at, replaces, finalized, issued, serial}}.
    True if it tells of a new account."""
    def of(order):
        new = {"order": order, "at": at, "replaces": "", "finalized": 0, "issued": 0, "serial": ""}
        return orders.setdefault(order, new)
    if found := _ADDED.search(line):
        of(found[1])
    elif found := _REPLACES.search(line):
        of(found[1])["replaces"] = found[2]
    elif found := _AUTHORIZED.search(line):
        of(found[1])["finalized"] = at
    elif found := _ISSUED.search(line):
        of(found[2]).update(issued=at, serial=serial(found[1]))
    return bool(_ACCOUNT.search(line))


def attempts(worker, lines):
    """Each time a worker was about to place an order: [{at, worker, endpoint, token, order, saved, end}].

    order is its id once the CA's answer had come, "" before; saved is when its URL was checkpointed; `resumed` when the
    order is one from before, taken up again.
    """
    out, open_, token = [], {}, {}
    for x in lines:
        e = x.get("endpoint")
        if x["event"] == "job_started" and x.get("queue") == "issue":
            token[e] = x.get("token", "")
            open_.pop(e, None)
        elif x["event"] != "order_step" or "order" not in x:
            continue
        elif x["step"] == "new_order":
            open_[e] = {"at": x["at"], "worker": worker, "endpoint": e, "token": token.get(e, ""), "order": "",
                        "saved": 0}
            out.append(open_[e])
        elif e in open_:
            this = open_[e]
            if x["order"] and not this["order"]:
                this["order"] = x["order"].rpartition("/")[2]
            if x["step"] not in ("save_order", "new_order") and not this["saved"]:
                this["saved"] = x["at"]
    return out


def runs(worker, lines):
    """Issue and verify jobs that a worker began: [{at, worker, endpoint, queue, intent, attempt, token}]."""
    keys = ("endpoint", "queue", "intent", "attempt", "token")
    return [{"at": x["at"], "worker": worker, **{k: x.get(k, "") for k in keys}}
            for x in lines if x["event"] == "job_started"]
