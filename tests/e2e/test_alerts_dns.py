"""A DNS provider dies, with all its customers' zones: one incident; it returns: it is over. Looks come each 2 s."""
import signal

import msgpack
import pytest
import redis
from conftest import running_stack
from servers import wait_until
from zoo import Zoo

NS = "ns:provider.test"
KEY = "cf:{demo}:"
N = 8


@pytest.fixture
def stack():
    yield from running_stack(workers=1, schedulers=1, sync=False, zoo=Zoo, config={
        "scheduler": {"verify_every": "2s"}, "resolver": {"timeout": "500ms"},
        "alerts": {"incident": {"endpoints": 5, "hold": "10s"}}})


def said(stack):
    """(key, kind, cause) of each event of an alert."""
    db = redis.Redis.from_url(stack.redis.url)
    out = []
    for _, fields in db.xrange(KEY + "alerts"):
        data = msgpack.unpackb(fields[b"data"])
        if "key" in data:
            out.append((data["key"], fields[b"type"].decode().rsplit(".", 1)[1], data.get("cause")))
    return out


def test_a_dns_provider_dies_and_returns(stack, patience):
    zoo = stack.zoo
    servers = {"ns1.provider.test": ["127.0.1.12"], "ns2.provider.test": ["127.0.1.12"]}
    with zoo.batch():  # on b alone: our own zone is at both
        for zone in ["provider.test"] + [f"customer{i}.test" for i in range(N)]:
            zoo.zone(zone, on=("b",), servers=servers)
    ids = [f"c{i}" for i in range(N)]
    for i, e in enumerate(ids):
        zoo.add(stack.challenge_cname(f"www.customer{i}.test"))
        stack.cli("endpoint", "add", f"www.customer{i}.test", "--type", "internal", "--id", e)
    stack.wait_states("active", ids, 90 * patience)
    assert not said(stack)
    zoo.b.signal(signal.SIGSTOP)
    wait_until("the incident", lambda: any(k == "incident:" + NS and kind == "opened" for k, kind, _ in said(stack)), 60 * patience)
    wait_until("all to be members", lambda: stack.cli("alerts", "members", "incident:" + NS, check=False).stdout.count("\n") >= N,
               60 * patience)
    zoo.b.signal(signal.SIGCONT)
    wait_until("its end", lambda: ("incident:" + NS, "resolved") in [(k, kind) for k, kind, _ in said(stack)], 90 * patience)
    wait_until("nothing to be open", lambda: not stack.cli_json("alerts")["alerts"], 60 * patience)
    opened = [(k, cause) for k, kind, cause in said(stack) if kind == "opened"]
    assert opened.count(("incident:" + NS, NS)) == 1
    # Before there were five endpoints, those that there were are told singly; afterwards nobody is. (When the servers are
    # back, a resolver that still remembers their silence may speak of SERVFAIL for a moment, which is nobody's cause.)
    singly = {k.split("/")[0] for k, cause in opened if cause == NS and not k.startswith("incident:")}
    first = opened.index(("incident:" + NS, NS))
    assert len(singly) <= 4 and all(cause != NS for _, cause in opened[first + 1:]), opened
