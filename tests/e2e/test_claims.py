"""Several tenants, one name: only the one whose label is in DNS gets a certificate."""
import time

import pytest
from conftest import running_stack
from servers import wait_until
from stack import TARGET


@pytest.fixture(scope="module")
def claims():
    """An authority that reuses every valid authorization, whoever asks."""
    yield from running_stack(sync=False, pebble={"authz_reuse": 100})


def state(stack, endpoint):
    return stack.cli_json("endpoint", "show", endpoint)["state"]


def test_only_the_tenant_in_dns_gets_a_certificate(claims, patience):
    name = "claimed.example.test"
    claims.knot.add((name, "CNAME", TARGET + "."), claims.challenge_cname(name, "alice"))
    for tenant in ("alice", "mallory"):
        claims.cli("endpoint", "add", name, "--type", "external", "--target", TARGET, "--tenant", tenant, "--id",
                   f"claim-{tenant}")
    claims.wait_states("active", ["claim-alice"], 30 * patience)
    # Mallory's endpoint is looked at, many times, and asks the authority for nothing.
    claims.cli("endpoint", "verify", "claim-mallory")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert state(claims, "claim-mallory") != "active"
        time.sleep(0.5)
    assert claims.pebble.orders_added() == 1
    shown = claims.cli("endpoint", "show", "claim-mallory").stdout + claims.cli(
        "--json", "endpoint", "show", "claim-mallory").stdout
    assert "held_elsewhere" in shown
    assert "alice" not in shown


def test_traffic_alone_proves_nothing(claims, patience):
    """A CNAME to the shared ingress is what a dangling one looks like, too."""
    name = "dangling.example.test"
    claims.knot.add((name, "CNAME", TARGET + "."))
    before = claims.pebble.orders_added()
    claims.cli("endpoint", "add", name, "--type", "external", "--target", TARGET, "--tenant", "mallory", "--id", "dangling")
    claims.wait_states("waiting_dns", ["dangling"], 30 * patience)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert state(claims, "dangling") not in ("active", "provisioning")
        time.sleep(0.5)
    assert claims.pebble.orders_added() == before
    claims.knot.add((f"_certfleet.{name}", "TXT", claims.label(name, "mallory")))
    claims.cli("endpoint", "verify", "dangling")
    claims.wait_states("active", ["dangling"], 30 * patience)


def test_a_name_that_changes_hands_is_validated_anew(claims, patience):
    name = "sold.internal.test"
    claims.knot.add(claims.challenge_cname(name, "alice"))
    claims.cli("endpoint", "add", name, "--type", "internal", "--tenant", "alice", "--id", "sold-alice")
    claims.wait_states("active", ["sold-alice"], 30 * patience)
    claims.cli("endpoint", "remove", "sold-alice")
    wait_until("the endpoint to be gone", lambda: "sold-alice" not in claims.states(), 30 * patience, 0.2)
    before = claims.pebble.log().count("Pulled a task from the Tasks queue")
    claims.knot.remove((f"_acme-challenge.{name}", "CNAME"))
    claims.knot.add(claims.challenge_cname(name, "bob"))
    claims.cli("endpoint", "add", name, "--type", "internal", "--tenant", "bob", "--id", "sold-bob")
    claims.wait_states("active", ["sold-bob"], 30 * patience)
    # Reuse is certain here, so a new validation shows that the old authorization was deactivated.
    assert claims.pebble.log().count("Pulled a task from the Tasks queue") > before
