"""What the edge serves is looked at by TLS: proven after issuance, told when a renewal is not loaded, over when it is."""
import msgpack
import pytest
import redis
from conftest import running_stack
from servers import wait_until
from stack import TARGET

KEY = "cf:{demo}:"
NAME = "shop.example.test"


@pytest.fixture(scope="module")
def stack():
    yield from running_stack(workers=1, schedulers=1, config={"scheduler": {"proof_every": "24h"}})


def said(stack, stream, kind):
    """(id, data) of the events of a kind."""
    db = redis.Redis.from_url(stack.redis.url)
    return [(f[b"id"].decode(), msgpack.unpackb(f[b"data"])) for _, f in db.xrange(KEY + stream)
            if f[b"type"].decode().endswith(kind)]


def alerts(stack, kind):
    return [data["key"] for _, data in said(stack, "alerts", f"alert.{kind}") if "key" in data]


def shown(stack, name=NAME):
    return stack.cli_json("endpoint", "show", name)


def test_a_renewal_that_the_edge_does_not_load(stack, patience):
    stack.knot.add((NAME, "CNAME", TARGET + "."), stack.challenge_cname(NAME))
    stack.cli("endpoint", "add", NAME, "--type", "external", "--target", TARGET)
    wait_until("the proof", lambda: shown(stack)["served"]["status"] == "ok", 60 * patience)
    first = shown(stack)["certificate"]["serial"]
    assert shown(stack)["served"]["right"] == shown(stack)["served"]["addresses"] == 1
    assert [i for i, _ in said(stack, "results", "certificate.served")] == [f"served/{NAME}/{first}"]
    assert "right at 1 of 1 addresses" in stack.cli("endpoint", "show", NAME).stdout
    stack.sync.stop()
    stack.cli("endpoint", "renew", NAME)
    wait_until("the alert", lambda: f"{NAME}/served_old" in alerts(stack, "opened"), 90 * patience)
    seen = shown(stack)
    second = seen["certificate"]["serial"]
    assert second != first and seen["state"] == "active"
    assert seen["served"]["status"] == "stale" and seen["served"]["right"] == 0
    finding = next(f for f in seen["findings"] if f["code"] == "served_old")
    assert finding["actor"] == "operator" and second in finding["expected"] and "certfleet sync" in str(finding["fix"])
    assert first in finding["observed"][0]["what"] and str(stack.haproxy.https_port) in finding["observed"][0]["server"]
    stack.sync.start()
    wait_until("the edge to load it", lambda: shown(stack)["certificate"]["serial"] == second
               and int(stack.serial_served(NAME) or "0", 16) == int(second, 16), 60 * patience)
    stack.cli("endpoint", "verify", NAME)
    wait_until("its end", lambda: f"{NAME}/served_old" in alerts(stack, "resolved"), 90 * patience)
    assert shown(stack)["served"]["status"] == "ok"
    assert [i for i, _ in said(stack, "results", "certificate.served")] == [f"served/{NAME}/{n}" for n in (first, second)]
    assert alerts(stack, "opened") == [f"{NAME}/served_old"], "nothing else was told, and once"
