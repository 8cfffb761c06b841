"""One slot of a cluster, by TLS: it is moved to another node while the fleet issues, key by key, and its owner is
killed."""
import signal
import time

import pytest
from conftest import running_stack
from faults import all_well, import_endpoints, internal, row
from servers import wait_until

N = 30


@pytest.fixture(scope="module")
def fleet():
    yield from running_stack(sync=False, redis="cluster", redis_options={"replicas": 1, "secure": True},
                             config={"worker": {"lease": "3s"}})


def at(server):
    """Which Redis one of ours said last that it is connected to; None while it has lost it."""
    for line in reversed(server.log().splitlines()):
        if "event=redis_down" in line or "event=redis_away" in line:
            return None
        if "event=redis_up" in line:
            return int(line.rsplit(":", 1)[1])
    return None


def await_all_at(fleet, node, seconds):
    """Gives how long it took."""
    begin = time.monotonic()
    wait_until(f"all to be at {node.name}", lambda: all(at(s) == node.port for s in fleet.workers + fleet.schedulers),
               seconds, 0.05)
    return time.monotonic() - begin


def test_the_slot_is_moved_while_it_issues(fleet, patience):
    ids = import_endpoints(fleet, [internal(i, "m") for i in range(N)])
    wait_until("the first certificates", lambda: len(fleet.pebble.serials()) >= 3, 60 * patience, 0.02)
    source = fleet.primary()
    begin = time.monotonic()
    keys = fleet.redis.migrate(pause=0.1)
    lasted = time.monotonic() - begin
    target = fleet.primary()
    assert target is not source and keys > 50
    took = await_all_at(fleet, target, 30 * patience)
    said = [s for s in fleet.workers + fleet.schedulers if "is being moved to another node" in s.log()]
    assert said, "it is told why the fleet waits"
    wait_until("reaping to pause until the leases could be put right", lambda: any(
        "why=replication_id_changed" in s.log() for s in fleet.schedulers), 15 * patience)
    fleet.wait_states("active", ids, 200 * patience)
    orders = all_well(fleet, ids, 2 * N)
    row("a cluster's slot moved live", "the fleet waits, nothing is lost",
        f"{keys} keys in {lasted:.1f} s; all at the new owner {took:.1f} s after; {N} of {N} active, {orders} orders")


def test_the_owner_is_killed(fleet, patience):
    """The replica belongs to the first node: so the slot goes home before."""
    before = fleet.pebble.orders_added()
    first = fleet.redis.members[0]
    if fleet.primary() is not first:
        fleet.redis.migrate(to=first)
        await_all_at(fleet, first, 30 * patience)
    ids = import_endpoints(fleet, [internal(i, "o") for i in range(N)])
    wait_until("some certificates", lambda: len(fleet.pebble.serials()) >= N + 3, 60 * patience, 0.02)
    switch = fleet.failover(how=signal.SIGKILL)
    await_all_at(fleet, switch.new, 60 * patience)
    took = time.time() - switch.at
    assert took < 5 * patience
    assert fleet.cli("endpoint", "list").returncode == 0
    fleet.wait_states("active", ids, 200 * patience)
    orders = all_well(fleet, ids, before + 2 * N) - before
    row("the owner of a cluster's slot SIGKILL", "its replica is followed",
        f"all at it {took:.1f} s after the election; {N} of {N} active, {orders} orders")
