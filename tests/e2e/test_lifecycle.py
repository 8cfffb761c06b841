"""What comes after the first certificate: revocation, removal, a changed set of names, restarts of the fleet."""
import json
import time

import pytest
from conftest import running_stack
from servers import wait_until

N = 60


@pytest.fixture
def fleet():
    """An authority that reuses no authorization: every order is validated."""
    yield from running_stack(sync=False, pebble={"authz_reuse": 0})


def show(stack, endpoint):
    return stack.cli_json("endpoint", "show", endpoint)


def serial_of(stack, endpoint):
    return (show(stack, endpoint).get("certificate") or {}).get("serial", "").replace(":", "").lower()


def add_internal(stack, name, endpoint, *more):
    stack.knot.add(stack.challenge_cname(name))
    stack.cli("endpoint", "add", name, "--type", "internal", "--id", endpoint, *more)


def test_revoke_replaces_first_and_then_revokes(fleet, patience):
    add_internal(fleet, "leaked.internal.test", "leaked")
    fleet.wait_states("active", ["leaked"], 30 * patience)
    old = fleet.pebble.serials()[0]
    fleet.cli("endpoint", "revoke", "leaked", "--reason", "keyCompromise")
    wait_until("the old certificate to be revoked", lambda: fleet.pebble.certificate(old)[0] == "Revoked", 30 * patience)
    new = fleet.pebble.serials()
    assert len(new) == 2 and fleet.pebble.certificate(new[1])[0] == "Valid"
    wait_until("the endpoint to have the new one",
               lambda: serial_of(fleet, "leaked").lstrip("0") == new[1].lower().lstrip("0"), 20 * patience, 0.2)
    # Answered once: nothing more is ordered or revoked.
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert fleet.pebble.orders_added() == 2
        time.sleep(0.3)


def test_remove_ends_authorizations_and_the_endpoint(fleet, patience):
    add_internal(fleet, "leaving.internal.test", "leaving")
    fleet.wait_states("active", ["leaving"], 30 * patience)
    before = fleet.pebble.log().count("POST /authZ/")
    fleet.cli("endpoint", "remove", "leaving")
    wait_until("the endpoint to be gone",
               lambda: fleet.cli("endpoint", "show", "leaving", check=False).returncode != 0, 30 * patience, 0.2)
    assert fleet.pebble.log().count("POST /authZ/") > before, "its authorization was not deactivated"
    left = [key for key in fleet.redis.command("keys", "*").split() if "e:leaving" in key]
    assert not left
    assert fleet.cli("audit").returncode == 0


def test_a_rolling_restart_under_load_loses_and_repeats_nothing(fleet, patience):
    what = [{"id": f"r{i}", "names": [f"r{i}.internal.test"], "type": "internal"} for i in range(N)]
    fleet.knot.add(*[fleet.challenge_cname(e["names"][0]) for e in what])
    path = fleet.path("import.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("endpoints:\n" + "".join(f"  - {json.dumps(e)}\n" for e in what))
    fleet.cli("endpoint", "import", path, timeout=120)
    for i, worker in enumerate(fleet.workers):
        wait_until("some certificates more", lambda n=i: len(fleet.pebble.serials()) > 5 * (n + 1), 60 * patience)
        worker.stop_seconds = 45
        assert worker.stop() == 0, worker.log_tail()
        worker.start()
    for scheduler in fleet.schedulers:
        assert scheduler.stop() == 0, scheduler.log_tail()
        scheduler.start()
    fleet.wait_states("active", [e["id"] for e in what], 90 * patience)
    assert fleet.pebble.orders_added() == N
    assert len(fleet.pebble.serials()) == N
    jobs = fleet.cli_json("jobs", "list", "--all")["jobs"]
    assert not [j for j in jobs if j["where"] == "parked"]
