"""What an authority allows is kept by the ledger: who must wait waits, with a turn of its own, and nothing fails."""
import datetime
import time

import pytest
from conftest import running_stack, stack_module
from servers import wait_until

IDS = [f"q{i}" for i in range(5)]


class Limited(stack_module.Stack):
    limits = {}

    def base_config(self):
        config = super().base_config()
        config["authorities"][0]["limits"] = self.limits
        return config

    def quota(self, key):
        """How long until a bucket is full again, in s; below 0: it is full."""
        return int(self.redis.command("pttl", f"cf:{{demo}}:quota:{key}")) / 1000


@pytest.fixture
def limited(monkeypatch, request):
    monkeypatch.setattr(stack_module, "Stack", Limited)
    monkeypatch.setattr(Limited, "limits", request.param)
    yield from running_stack(sync=False)


def shown(stack):
    return {i: stack.cli_json("endpoint", "show", i) for i in IDS}


def in_seconds(when):
    then = datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
    return then.timestamp() - time.time()


def waits_logged(stack):
    return sum(w.log().count("waiting_quota") for w in stack.workers)


# The bucket is empty after three, and refills one in twenty minutes.
@pytest.mark.parametrize("limited", [{"new_orders": "3/1h", "duplicates": "5/7d"}], indirect=True)
def test_who_is_over_the_limit_waits_for_its_turn(limited, patience):
    limited.knot.add(*(limited.challenge_cname(f"{i}.internal.test") for i in IDS))
    for i in IDS:
        limited.cli("endpoint", "add", f"{i}.internal.test", "--type", "internal", "--id", i)

    def settled():
        states = sorted((e["state"], e["reason"]) for e in shown(limited).values())
        return states == [("active", None)] * 3 + [("provisioning", "waiting_quota")] * 2
    wait_until("three active and two waiting", settled, 60 * patience, 0.5)

    everyone = shown(limited)
    assert all(e["issuance"]["failures"] == 0 for e in everyone.values()), "waiting is no failure"
    waiting = [e for e in everyone.values() if e["reason"] == "waiting_quota"]
    turns = sorted(in_seconds(e["issuance"]["waiting_quota"]["until"]) for e in waiting)
    assert 900 < turns[0] < 1200 and 1190 < turns[1] - turns[0] < 1210, turns
    for e in waiting:
        assert e["issuance"]["waiting_quota"]["limit"] == "pebble allows 3 new orders in 1h"
        job = next(j for j in e["jobs"] if j["queue"] == "issue")
        assert job["where"] == "due" and in_seconds(job["due"]) > 900
        assert "waiting" in [t["what"] for t in e["timeline"]]
    text = limited.cli("endpoint", "show", waiting[0]["id"]).stdout
    assert "pebble allows 3 new orders in 1h" in text and "its turn" in text
    assert limited.pebble.orders_added() == 3
    assert limited.cli("audit").returncode == 0
    # A person who asks gets no more than there is, and keeps the turn.
    one = waiting[0]
    before = waits_logged(limited)
    limited.cli("jobs", "retry", one["id"])
    wait_until("the worker to look again", lambda: waits_logged(limited) > before, 20 * patience, 0.2)
    again = limited.cli_json("endpoint", "show", one["id"])
    assert again["issuance"]["waiting_quota"] == one["issuance"]["waiting_quota"]
    assert limited.pebble.orders_added() == 3
    # A renewal of the same names is no new order to the authority.
    active = next(e["id"] for e in everyone.values() if e["state"] == "active")
    limited.cli("endpoint", "renew", active)
    wait_until("the renewal", lambda: limited.cli_json("endpoint", "show", active)["certificate"]["renewals"] == 1,
               30 * patience, 0.2)


@pytest.mark.parametrize("limited", [{"new_orders": "20/1h", "certificates_per_registered_domain": "1/7d",
                                      "duplicates": "1/7d", "failed_authorizations": "5/1h"}], indirect=True)
def test_a_failed_order_gives_back_the_certificate_that_it_did_not_get(limited, patience):
    name = "shop.example.test"
    limited.knot.add((name, "CNAME", stack_module.TARGET + "."), (f"_certfleet.{name}", "TXT", limited.label(name)))
    limited.haproxy.stop()  # nobody answers the authority
    limited.cli("endpoint", "add", name, "--type", "external", "--target", stack_module.TARGET, "--id", "shop")
    wait_until("the failure", lambda: limited.cli_json("endpoint", "show", "shop")["issuance"]["failures"] == 1,
               60 * patience, 0.5)
    assert 0 < limited.quota("pebble:new_orders") <= 180, "the order was placed"
    assert 600 < limited.quota(f"pebble:failed:{name}") <= 720, "and its validation failed"
    assert limited.quota("pebble:domain:example.test") < 0, "no certificate came of it"
    limited.haproxy.start()
    limited.cli("jobs", "retry", "shop")
    limited.wait_states("active", ["shop"], 60 * patience)
    assert limited.quota("pebble:domain:example.test") > 6 * 86400
    sets = limited.redis.command("--scan", "--pattern", "cf:{demo}:quota:pebble:set:*").split()
    assert len(sets) == 1
