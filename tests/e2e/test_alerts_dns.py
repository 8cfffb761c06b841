"""A DNS provider dies, with all its customers' zones: one incident; it returns: it is over.

All is real: zones on Knot, looks by workers, certificates by Pebble. CERTFLEET_CUSTOMERS=5000 is the full number; `-s`
prints what was said and how soon.
"""
import collections
import json
import os
import signal
import time

import msgpack
import pytest
import redis
from conftest import running_stack
from servers import wait_until
from zoo import Zoo

NS = "ns:provider.test"
KEY = "cf:{demo}:"
N = int(os.environ.get("CERTFLEET_CUSTOMERS", "200"))
A_ZONE = 10  # endpoints in each
EVERY_S = max(3, N // 120)


class Remembers(Zoo):
    """Its resolver knows for some seconds that a server was silent, as resolvers do."""

    def _make_resolver(self, folder):
        resolver = super()._make_resolver(folder)
        path = resolver.argv[-1]
        with open(path, encoding="ascii") as f:
            text = f.read()
        with open(path, "w", encoding="ascii") as f:
            f.write(text.replace("infra-host-ttl: 1\n", "infra-host-ttl: 15\n"))
        return resolver


@pytest.fixture
def stack():
    yield from running_stack(workers=2, schedulers=1, sync=False, zoo=Remembers, config={
        "scheduler": {"verify_every": f"{EVERY_S}s"}, "worker": {"slots": {"verify": 200, "issue": 16}},  # Pebble hangs by hundreds
        "resolver": {"timeout": "2s", "per_server": 2000}, "alerts": {"incident": {"endpoints": 5, "hold": "10s"}}})


def said(stack):
    """(key, kind, cause) of each event of an alert."""
    db = redis.Redis.from_url(stack.redis.url)
    out = []
    for _, fields in db.xrange(KEY + "alerts"):
        data = msgpack.unpackb(fields[b"data"])
        if "key" in data:
            out.append((data["key"], fields[b"type"].decode().rsplit(".", 1)[1], data.get("cause")))
    return out


def names():
    return {f"c{i}": f"www{i}.customer{i // A_ZONE}.test" for i in range(N)}


def make_customers(stack):
    zoo, servers = stack.zoo, {f"ns{i}.provider.test": ["127.0.1.12"] for i in (1, 2)}
    lines = collections.defaultdict(list)
    for i, name in enumerate(names().values()):
        owner, kind, label = stack.challenge_cname(name)
        lines[f"customer{i // A_ZONE}.test"].append(f"{owner}. {kind} {label}")
    with zoo.batch():  # on b alone: our own zone is at both
        zoo.zone("provider.test", on=("b",), servers=servers)
        for zone, records in lines.items():
            zoo.zone(zone, on=("b",), servers=servers, records=records)
    path = stack.path("customers.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("endpoints:\n" + "".join(
            "  - " + json.dumps({"id": e, "names": [name], "type": "internal"}) + "\n" for e, name in names().items()))
    stack.cli("endpoint", "import", path, timeout=600)


def test_a_dns_provider_dies_and_returns(stack, patience):
    incident = "incident:" + NS
    patience *= max(1, N // 500)
    db = redis.Redis.from_url(stack.redis.url)
    make_customers(stack)
    stack.wait_states("active", list(names()), 120 * patience)
    wait_until("nothing to be open", lambda: not stack.cli_json("alerts")["alerts"], 60 * patience)
    before = len(said(stack))  # of thousands of orders one may have failed and succeeded
    stack.zoo.b.signal(signal.SIGSTOP)
    began = time.monotonic()
    wait_until("the incident", lambda: any(k == incident and kind == "opened" for k, kind, _ in said(stack)), 60 * patience)
    opened_s = time.monotonic() - began
    # Each endpoint is a member, by one condition or two.
    wait_until("all to be members", lambda: db.hlen(f"{KEY}{incident}:n") == N, 60 * patience)
    all_s = time.monotonic() - began
    assert [a["key"] for a in stack.cli_json("alerts")["alerts"]] == [incident], "nothing else is open"
    stack.zoo.b.signal(signal.SIGCONT)
    began = time.monotonic()
    wait_until("its end", lambda: (incident, "resolved") in [(k, kind) for k, kind, _ in said(stack)], 120 * patience)
    resolved_s = time.monotonic() - began
    wait_until("nothing to be open", lambda: not stack.cli_json("alerts")["alerts"] and not db.exists(f"{KEY}alerts:members"),
               120 * patience)
    events = said(stack)[before:]
    kinds = collections.Counter(kind for _, kind, _ in events)
    singly = {k.split("/")[0] for k, kind, _ in events if kind == "opened" and k != incident}
    print(f"\n{N} endpoints in {-(-N // A_ZONE)} zones, looked at each {EVERY_S} s: {sum(kinds.values())} messages {dict(kinds)}, "
          f"of {len(singly)} endpoints singly; opened after {opened_s:.1f} s, all members after {all_s:.1f} s; "
          f"provider back: resolved after {resolved_s:.1f} s")
    assert [k for k, kind, _ in events if kind == "opened"].count(incident) == 1
    # Before there were five, those that there were may be told singly; afterwards nobody is, and what is left of a big
    # incident near its end is no more than four.
    assert len(singly) <= 8 and {cause for _, _, cause in events} == {NS}, events
