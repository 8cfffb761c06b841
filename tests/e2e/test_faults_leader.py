"""The fault table, schedulers: the leader killed, stopped, parted from Redis; and a time with no leader at all."""
import signal
import time

import pytest
from conftest import running_stack
from faults import all_well, import_endpoints, internal, line_time, row, stream
from servers import wait_until

LEASE_S = 3
PROMISED_S = 10


@pytest.fixture(scope="module")
def fleet():
    yield from running_stack(sync=False, proxied=True, config={"scheduler": {"lease": f"{LEASE_S}s"},
                                                               "worker": {"lease": "3s"}})


def leads(scheduler):
    return scheduler.alive() and "ok leader" in scheduler.get("/healthz")[1]


def led_since(scheduler):
    return line_time([x for x in scheduler.log().splitlines() if "event=leading" in x][-1])


def leader_and_other(fleet, patience):
    wait_until("one leader", lambda: sum(map(leads, fleet.schedulers)) == 1, 20 * patience)
    leader = next(s for s in fleet.schedulers if leads(s))
    return leader, next(s for s in fleet.schedulers if s is not leader)


def alert_of(fleet, endpoint, word):
    return [x for x, kind, _ in stream(fleet, "alerts") if endpoint in x and kind.endswith(word)]


def assert_said_once(fleet):
    for name in ("results", "alerts"):
        ids = [x for x, kind, _ in stream(fleet, name) if kind != "certfleet.heartbeat"]
        assert len(ids) == len(set(ids)), f"{name}: {sorted(x for x in ids if ids.count(x) > 1)}"


def test_killed(fleet, patience):
    leader, other = leader_and_other(fleet, patience)
    ids = import_endpoints(fleet, [internal(i, "k") for i in range(5)])
    killed = time.time()
    leader.kill()
    wait_until("the other to lead", lambda: leads(other), 3 * PROMISED_S)
    took = led_since(other) - killed
    assert took <= PROMISED_S * patience
    fleet.cli("endpoint", "verify", ids[0])
    fleet.wait_states("active", ids, 60 * patience)
    leader.start()
    all_well(fleet, ids, len(stream_orders(fleet)))
    assert_said_once(fleet)
    row("leader SIGKILL", f"another leads within {PROMISED_S} s; requests go on", f"{took:.1f} s (lease {LEASE_S} s)")


def stream_orders(fleet):
    """As many orders as endpoints were ever given a certificate here."""
    return [x for x, kind, _ in stream(fleet, "results") if kind == "certfleet.certificate.issued"]


def hold_an_application(fleet, leader, endpoint):
    """The leader has read a request and sends what applies it; its proxy keeps that back."""
    held = fleet.proxies[leader.name].hold("apply")
    name = f"{endpoint}.internal.test"
    fleet.knot.add(fleet.challenge_cname(name))
    asked = fleet.cli("endpoint", "add", name, "--type", "internal", "--id", endpoint, "--timeout", "1s", check=False)
    assert asked.returncode == 3, "nobody can have answered"
    held.wait(10)
    return held


def let_go_and_judge(fleet, leader, other, endpoint, held, patience):
    """What the old leader had sent arrives late; it steps down, and everything was done once."""
    fleet.wait_states("active", [endpoint], 60 * patience)
    before = len(stream(fleet, "results"))
    held.release()
    fleet.proxies[leader.name].heal()
    assert held.passed.wait(10), "what was held back did not reach Redis"
    wait_until("the old one to lead no more", lambda: not leads(leader), 20 * patience)
    wait_until("it to have Redis again", lambda: leader.ready(), 20 * patience)
    assert leads(other)
    assert [x for x, kind, _ in stream(fleet, "results")[before:] if kind == "certfleet.endpoint.added"] == []
    added = [x for x, kind, about in stream(fleet, "results")
             if about == endpoint and kind in ("certfleet.endpoint.added", "certfleet.request.done")]
    assert len(added) == 2, added
    all_well(fleet, [endpoint], len(stream_orders(fleet)))
    assert_said_once(fleet)


def test_stopped_beyond_its_lease(fleet, patience):
    leader, other = leader_and_other(fleet, patience)
    held = hold_an_application(fleet, leader, "stopped")
    stopped = time.time()
    leader.signal(signal.SIGSTOP)
    try:
        wait_until("the other to lead", lambda: leads(other), 3 * PROMISED_S)
        took = led_since(other) - stopped
        assert took <= PROMISED_S * patience
        fleet.wait_states("active", ["stopped"], 60 * patience)
    finally:
        leader.signal(signal.SIGCONT)
    let_go_and_judge(fleet, leader, other, "stopped", held, patience)
    row("leader SIGSTOP beyond its lease, SIGCONT", "never two that act with effect; requests applied once, said once",
        f"replaced in {took:.1f} s; the old one stepped down; what it had sent arrived late and changed nothing")


def test_parted_from_redis(fleet, patience):
    leader, other = leader_and_other(fleet, patience)
    held = hold_an_application(fleet, leader, "parted")
    parted = time.time()
    fleet.proxies[leader.name].partition()
    wait_until("the other to lead", lambda: leads(other), 3 * PROMISED_S)
    took = led_since(other) - parted
    assert took <= PROMISED_S * patience
    assert not leads(leader), "it steps down by its own clock before another can lead"
    let_go_and_judge(fleet, leader, other, "parted", held, patience)
    row("leader parted from Redis, then back", "it steps down before another leads; requests applied once, said once",
        f"replaced in {took:.1f} s; what it had sent arrived late and changed nothing")


def test_alerts_are_not_doubled_by_a_change_of_leader(fleet, patience):
    leader, other = leader_and_other(fleet, patience)
    ids = import_endpoints(fleet, [internal(i, "a", tenants=1) for i in range(3)])
    fleet.wait_states("active", ids, 60 * patience)
    for endpoint in ids:
        fleet.knot.remove(fleet.challenge_cname(f"{endpoint}.internal.test", "t0")[:2])
        fleet.cli("endpoint", "verify", endpoint)
    wait_until("an edge or an alert", lambda: len(stream(fleet, "edges")) or len(alert_of(fleet, "a", "opened")),
               30 * patience)
    leader.signal(signal.SIGSTOP)
    try:
        wait_until("the alerts", lambda: all(alert_of(fleet, e, "opened") for e in ids), 60 * patience, 0.2)
    finally:
        leader.signal(signal.SIGCONT)
    wait_until("the old one to lead no more", lambda: not leads(leader), 20 * patience)
    wait_until("it to answer", leader.ready, 20 * patience)
    for endpoint in ids:
        assert len(alert_of(fleet, endpoint, "opened")) == 1
    assert_said_once(fleet)
    row("leader SIGSTOP while alerts are due", "each alert once", f"{len(ids)} alerts, each once")


def test_no_leader_at_all(fleet, patience):
    ids = import_endpoints(fleet, [internal(i, "n") for i in range(10)])
    for s in fleet.schedulers:
        s.kill()
    fleet.wait_states("active", ids, 60 * patience)
    name = "later.internal.test"
    fleet.knot.add(fleet.challenge_cname(name))
    asked = fleet.cli("endpoint", "add", name, "--type", "internal", "--id", "later", "--timeout", "1s", check=False)
    assert asked.returncode == 3 and "no scheduler answered" in asked.stderr, asked.stderr
    for s in fleet.schedulers:
        s.start()
    fleet.wait_states("active", ["later"], 60 * patience)
    all_well(fleet, [*ids, "later"], len(stream_orders(fleet)))
    assert_said_once(fleet)
    row("no leader at all", "what is planned goes on; requests wait on the stream", f"{len(ids)} of {len(ids)} active with "
        "no scheduler; a request asked meanwhile was applied when one came back")
