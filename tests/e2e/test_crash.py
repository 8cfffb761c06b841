"""Whatever dies in the middle of issuing: all endpoints get their certificate, and the audit finds nothing to repair."""
import json
import signal

import pytest
from conftest import running_stack
from servers import wait_until

N = 40


@pytest.fixture
def fleet():
    yield from running_stack(sync=False, config={"worker": {"lease": "3s"}})


def import_all(stack):
    what = [{"id": f"c{i}", "names": [f"c{i}.internal.test"], "type": "internal", "tenant": f"t{i % 3}"}
            for i in range(N)]
    stack.knot.add(*[stack.challenge_cname(e["names"][0], e["tenant"]) for e in what])
    path = stack.path("import.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("endpoints:\n" + "".join(f"  - {json.dumps(e)}\n" for e in what))
    stack.cli("endpoint", "import", path, timeout=120)
    return [e["id"] for e in what]


def wait_some(stack, patience):
    wait_until("the first certificates", lambda: len(stack.pebble.serials()) >= 3, 60 * patience, 0.02)


def failed(stack):
    return [line for w in stack.workers for line in w.log().splitlines() if "event=issuance_failed" in line]


def assert_all_well(stack, ids, patience, orders=N):
    """A failed attempt (the authority asked a responder that was dead) costs an order and a minute."""
    stack.wait_states("active", ids, 200 * patience)
    assert stack.pebble.orders_added() <= orders + len(failed(stack))
    assert len(stack.certificates()) == N
    audit = stack.cli("audit", check=False)
    assert audit.returncode == 0, audit.stdout


def test_redis_killed_and_restarted_from_its_aof(fleet, patience):
    """What everysec can lose is two seconds: at most one extra order for each job in flight."""
    ids = import_all(fleet)
    wait_some(fleet, patience)
    fleet.redis.signal(signal.SIGKILL)
    fleet.redis.process.wait()
    fleet.redis.start()
    assert_all_well(fleet, ids, patience, orders=2 * N)
    assert not [line for line in failed(fleet) if "class=owner" in line], "an outage of ours is not the owner's doing"


def test_the_leader_killed(fleet, patience):
    ids = import_all(fleet)
    wait_some(fleet, patience)
    held = fleet.cli_json("status")["leader"]
    assert held
    leader = next(s for s in fleet.schedulers if "event=leading" in s.log())
    other = next(s for s in fleet.schedulers if s is not leader)
    leader.kill()
    wait_until("the other to lead", lambda: "event=leading" in other.log(), 10 * patience)
    fleet.cli("endpoint", "verify", ids[0])
    assert_all_well(fleet, ids, patience)


def test_a_worker_stopped_beyond_its_lease_does_no_harm(fleet, patience):
    """SIGSTOP past the lease, then SIGCONT: its jobs are others' by then, and what it still says is refused."""
    ids = import_all(fleet)
    wait_some(fleet, patience)
    stopped = fleet.workers[0]
    stopped.signal(signal.SIGSTOP)
    try:
        wait_until("its leases to lapse", lambda: any("c" in j["endpoint"] and j["lane"] == "suspect" for j in
                   fleet.cli_json("jobs", "list", "--all")["jobs"]) or len(fleet.pebble.serials()) >= N,
                   30 * patience, 0.2)
    finally:
        stopped.signal(signal.SIGCONT)
    assert_all_well(fleet, ids, patience)
    assert all(len(serials) == 1 for serials in fleet.certificates().values())
