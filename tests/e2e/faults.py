"""What the fault tests share: the table that they fill, the promises that every row ends with, and workers that a
chosen log line ends or stops (tests/aid/crash_at.c).

The table, fault | promised | seen, is shown at the end of a run and left in build/FLAVOUR/faults.txt.
"""
import json
import os
import re
import time
from datetime import datetime

import msgpack
import redis as redis_py
from servers import LOOPBACK, ServerError, free_port, wait_until
from stack import Daemon, build_dir

SERVFAIL_KEPT_S = 6  # Unbound's 5
_rows = []


def row(fault, promised, seen):
    """A line of the table: said by a test that has just shown it."""
    _rows.append((fault, promised, seen))


def rows():
    return list(_rows)


def table():
    return [" | ".join(r) for r in [("fault", "promised", "seen"), *_rows]] if _rows else []


# --- a fleet

def internal(i, prefix="f", tenants=3):
    return {"id": f"{prefix}{i}", "names": [f"{prefix}{i}.internal.test"], "type": "internal",
            "tenant": f"t{i % tenants}"}


def add_records(stack, what):
    """Their dns-01 records."""
    stack.knot.add(*[stack.challenge_cname(name, e["tenant"]) for e in what
                     for name in sorted({n.removeprefix("*.") for n in e["names"]})])


def import_endpoints(stack, what, records=True):
    """Their dns-01 records and the endpoints themselves; gives the ids."""
    if records:
        add_records(stack, what)
    path = stack.path("import.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("endpoints:\n" + "".join(f"  - {json.dumps(e)}\n" for e in what))
    stack.cli("endpoint", "import", path, timeout=120)
    return [e["id"] for e in what]


# --- what is in Redis

def connect(stack):
    return redis_py.Redis(**stack.redis.client_args())


def key(name):
    return f"cf:{{demo}}:{name}"


def stream(stack, name):
    """(id, type, subject) of all entries of a stream."""
    with connect(stack) as r:
        return [tuple(fields[k].decode() for k in (b"id", b"type", b"subject")) for _, fields in r.xrange(key(name))]


JOB = "where due lane intent attempt lapses want have token worker since why last lease cancel asked".split()


def job(stack, endpoint, queue="issue"):
    """An endpoint's job record."""
    with connect(stack) as r:
        packed = r.hget(key(f"e:{endpoint}"), "ji" if queue == "issue" else "jv")
    return dict(zip(JOB, msgpack.unpackb(packed, raw=False))) if packed else {}


def redis_ms(stack):
    with connect(stack) as r:
        seconds, micros = r.time()
    return seconds * 1000 + micros // 1000


# --- what every row promises

def all_well(stack, ids, orders, certificates=1):
    """Each endpoint is active with the one certificate that the authority gave it, and said once; at most `orders`
    orders in all; no job parked; the audit finds nothing. Gives the number of orders."""
    said = {}
    for event, kind, _ in stream(stack, "results"):
        if kind in ("certfleet.certificate.issued", "certfleet.certificate.renewed"):
            said[event] = said.get(event, 0) + 1
    issued = stack.certificates()
    held = {e["id"]: e for e in stack.cli_json("endpoint", "list")["endpoints"]}
    for endpoint in ids:
        assert held[endpoint]["state"] == "active", held[endpoint]
        shown = stack.cli_json("endpoint", "show", endpoint)
        serial = shown["certificate"]["serial"].replace(":", "").lower().lstrip("0")
        ours = issued.get(tuple(sorted(shown["names"])), [])
        assert serial in [s.lower().lstrip("0") for s in ours], f"{endpoint} holds what the authority did not issue"
        assert len(ours) <= certificates, f"{endpoint}: {len(ours)} certificates"
        events = [n for event, n in said.items() if event.lower().lstrip("0") and _is_about(event, endpoint, serial)]
        assert events == [1], f"{endpoint}: its certificate was said {events} times"
    placed = stack.pebble.orders_added()
    assert placed <= orders, f"{placed} orders, {orders} are explained"
    assert not [j for j in stack.cli_json("jobs", "list", "--all")["jobs"] if j["where"] == "parked"]
    audit = stack.cli("audit", check=False)
    assert audit.returncode == 0, audit.stdout
    return placed


def wait_active(stack, ids, seconds):
    """Until all are active. An attempt that failed because of an outage of ours (the authority asked a responder that
    had no Redis) waits a minute; a person asks for it sooner, once the authority's resolver has forgotten the SERVFAIL.
    Gives the ids of those that failed, once for each time."""
    failed, asked = {}, time.monotonic()

    def there():
        nonlocal asked
        states = stack.states()
        for endpoint in ids:
            if states.get(endpoint) == "failing":
                lines = log_lines(stack.workers, f"event=issuance_failed endpoint={endpoint} ")
                assert all("code=our_outage" in x and "class=owner" not in x for x in lines), lines
                failed[endpoint] = len(lines)
        if failed and time.monotonic() > asked + SERVFAIL_KEPT_S:
            asked = time.monotonic()
            for endpoint in failed:
                if states.get(endpoint) == "failing":
                    stack.cli("jobs", "retry", endpoint)
        return all(states.get(i) == "active" for i in ids)
    try:
        wait_until(f"{len(ids)} endpoints to be active", there, seconds, 0.3)
    except ServerError as e:
        states = stack.states()
        raise ServerError(f"{e}: {[(i, states.get(i)) for i in ids if states.get(i) != 'active']}") from None
    return [endpoint for endpoint, n in failed.items() for _ in range(n)]


def _is_about(event, endpoint, serial):
    kind, about, number = event.split("/", 2)
    return kind in ("issued", "renewed") and about == endpoint and number.lower().lstrip("0") == serial


# --- workers that end or stop at a chosen line

STAMP = re.compile(r"^time=(\S+)")


def line_time(line):
    return datetime.fromisoformat(STAMP.match(line)[1].replace("Z", "+00:00")).timestamp()


class JobWorker(Daemon):
    """A worker with the role jobs alone, so that no responder dies with it."""
    stop_seconds = 40

    def __init__(self, stack, name, issue=1, folder=None, **worker):
        self.points = folder
        port = free_port()
        config = stack.write_config(stack.path(f"{name}.yaml"), {"worker": {
            "name": name, "listen": f"{LOOPBACK}:{port}", "roles": ["jobs"],
            "slots": {"verify": 50, "issue": issue}, **worker}})
        super().__init__(stack.path(name), name, stack.program("certfleet-worker"), config, port)
        self.stack = stack
        if folder:
            asan = os.environ.get("ASAN_OPTIONS", "")
            self.env = {"LD_PRELOAD": os.path.join(build_dir(), "tests/aid/crash_at.so"), "CRASH_AT": folder,
                        "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}

    def died(self):
        return self.process is not None and self.process.poll() is not None


def crash_points(stack, points):
    """points: (name, "kill" or "stop", text in a log line). Gives the folder for JobWorker."""
    folder = stack.path("crash")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "points"), "w", encoding="utf-8") as f:
        f.writelines(f"{name} {action} {text}\n" for name, action, text in points)
    return folder


def happened(folder, name):
    return os.path.exists(os.path.join(folder, name))


def step_line(endpoint, step, kind="order"):
    return f"event={kind}_step endpoint={endpoint} step={step} "


def log_lines(workers, text):
    """Lines with the text in the logs of all, by time."""
    return sorted((line for w in workers for line in w.log().splitlines() if text in line), key=line_time)


def orders_of(workers, endpoint):
    """The URLs of the orders that were placed for it, as far as they were saved."""
    return {re.search(r"order=(\S+)", x)[1] for x in log_lines(workers, step_line(endpoint, "save_order") + "order=https")}
