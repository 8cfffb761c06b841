"""The fault table, Redis' surroundings: its clock stepped by an hour both ways, its memory full."""
import os
import struct
import time

import pytest
from conftest import running_stack
from faults import add_records, all_well, connect, import_endpoints, internal, job, key, redis_ms, row, wait_active
from servers import wait_until
from stack import build_dir

LEASE_S = 3
N = 12
HOUR_MS = 3600 * 1000


@pytest.fixture(scope="module")
def fleet():
    for stack in running_stack(sync=False, pebble={"authz_reuse": 0},
                               config={"worker": {"lease": f"{LEASE_S}s", "slots": {"verify": 50, "issue": 4}},
                                       "scheduler": {"lease": "3s"}}):
        stack.clock = stack.path("clock")
        step_clock(stack, 0)
        stack.redis.env = {"LD_PRELOAD": os.path.join(build_dir(), "tests/aid/clock.so"), "CLOCK_FILE": stack.clock}
        stack.redis.restart()
        wait_until("all to have Redis again", lambda: all(d.ready() for d in stack.workers + stack.schedulers), 30)
        yield stack


def step_clock(fleet, seconds):
    """tests/aid/clock.c has the file mapped: it is written in place."""
    with open(os.open(fleet.clock, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as f:
        f.write(struct.pack("=q", seconds))


def lapsed(fleet):
    return sum("event=leases_lapsed" in x for s in fleet.schedulers for x in s.log().splitlines())


@pytest.mark.parametrize("hours", [1, -1])
def test_clock_stepped_by_an_hour(fleet, patience, hours):
    """With orders under way and others that wait for a slot."""
    step_clock(fleet, 0)
    name = "ahead" if hours > 0 else "back"
    before, orders = lapsed(fleet), fleet.pebble.orders_added()
    ids = import_endpoints(fleet, [internal(i, name) for i in range(N)])
    wait_until("orders under way", lambda: fleet.pebble.orders_added() > orders + 1, 60 * patience, 0.02)
    step_clock(fleet, hours * 3600)
    stepped = time.monotonic()
    off = redis_ms(fleet) - time.time() * 1000
    assert abs(off - hours * HOUR_MS) < 10000, "the clock of Redis did not step"
    failed = wait_active(fleet, ids, 60 * patience)
    took = time.monotonic() - stepped
    late = import_endpoints(fleet, [internal(0, f"late-{name}")])
    asked = time.monotonic()
    failed += wait_active(fleet, late, 60 * patience)
    new = time.monotonic() - asked
    with connect(fleet) as r:
        last = r.xrevrange(key("results"), count=1)[0][0].decode()
    assert lapsed(fleet) == before, "nobody's lease has lapsed"
    placed = all_well(fleet, ids + late, orders + N + 1 + len(failed)) - orders
    for endpoint in ids:  # nothing waits an hour longer than it was to wait
        wait = job(fleet, endpoint, "verify")["due"] - redis_ms(fleet)
        assert wait < 2 * HOUR_MS, f"{endpoint} is looked at in {wait} ms"
    row(f"Redis' clock {'an hour ahead' if hours > 0 else 'an hour back'} at once",
        "no lease lapses for it, nothing waits an hour, stream ids go on",
        f"{N} endpoints under way active {took:.1f} s after it, a new one in {new:.1f} s; 0 leases lapsed; {placed} orders for "
        f"{N + 1}; last stream id {last}")


def test_out_of_memory(fleet, patience):
    """noeviction: what would make Redis grow is refused before it runs, and what was begun ends."""
    step_clock(fleet, 0)
    orders = fleet.pebble.orders_added()
    what = [internal(i, "full") for i in range(N)]
    ids = import_endpoints(fleet, what, records=False)
    add_records(fleet, what)
    wait_until("an order", lambda: fleet.pebble.orders_added() > orders, 60 * patience, 0.005)
    fleet.redis.command("config", "set", "maxmemory", "1mb")
    begun = fleet.pebble.orders_added() - orders
    try:
        wait_until("what was begun to end", lambda: fleet.cli_json("jobs", "list")["jobs"] == [], 60 * patience, 0.2)
        ended = sum(s == "active" for i, s in fleet.states().items() if i in ids)
        assert ended >= begun, f"{begun} orders were begun, {ended} ended"
        name = "waits.internal.test"
        fleet.knot.add(fleet.challenge_cname(name))
        asked = fleet.cli("endpoint", "add", name, "--type", "internal", "--id", "waits", "--timeout", "3s", check=False)
        assert asked.returncode != 0 and asked.stderr, "who asks is told"
        assert all(d.ready() for d in fleet.workers), "a worker answers challenges all the same"
    finally:
        fleet.redis.command("config", "set", "maxmemory", "0")
    wait_active(fleet, ids, 60 * patience)
    placed = all_well(fleet, ids, orders + N + 1) - orders
    if asked.returncode == 3:
        wait_active(fleet, ["waits"], 60 * patience)
    row("maxmemory reached (noeviction)", "what was begun ends; who asks is told; when there is room again all goes on",
        f"{begun} orders begun, {ended} endpoints active while it was full; a request ended with status {asked.returncode}: "
        f"{asked.stderr.strip().splitlines()[-1]}; {placed} orders for {N} endpoints")
