"""A consumer group that died, and streams of 300 entries: they stay so, the loss is counted and alerted, and readers that
were too slow are told by a gap."""
import json
import os
import signal
import subprocess

import msgpack
import pytest
import redis
from conftest import TOP, running_stack
from servers import wait_until

P = "cf:{demo}:"
CAP = 300


@pytest.fixture(scope="module")
def small():
    config = {"streams": {"cap": CAP, "keep": "24h"}}
    for stack in running_stack(workers=1, schedulers=1, config=config):
        stack.db = redis.Redis.from_url(stack.redis.url)
        stack.knot.add(stack.challenge_cname("shop.internal.test"))
        stack.cli("endpoint", "add", "shop.internal.test", "--type", "internal", "--id", "shop")
        stack.wait_states("active", ["shop"], 60)
        yield stack


class Reader:
    """A program that follows; it can be made to stand still."""

    def __init__(self, stack, name, argv):
        self.path = stack.path(f"{name}.out")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT)

    def lines(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()

    def gaps(self):
        return [line for line in self.lines() if "gap" in line]

    def still(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.go_on()
        self.process.terminate()
        self.process.wait(10)


def add(db, n, subject="noise", kind="certfleet.test", stream="results"):
    with db.pipeline(transaction=False) as pipe:
        for i in range(n):
            pipe.xadd(P + stream, {"id": f"n/{i}", "type": kind, "source": "demo", "subject": subject,
                                      "time": "2026-01-01T00:00:00.000Z", "data": msgpack.packb({"V": 1})})
        pipe.execute()


@pytest.fixture(scope="module")
def readers(small):
    password = open(small.redis.user("subscriber")["password_file"], encoding="ascii").read()
    url = f"redis://certfleet-subscriber:{password}@127.0.0.1:{small.redis.port}/0"
    cli = [small.program("certfleet"), "-c", small.config]
    out = {
        "text": Reader(small, "text", [*cli, "results", "--follow"]),
        "json": Reader(small, "json", [*cli, "--json", "results", "--follow"]),
        "example": Reader(small, "example", ["/usr/bin/python3", "-B",
                                             os.path.join(TOP, "deploy/subscribers/read_results.py"), url, "demo", "0"]),
    }
    try:
        yield out
    finally:
        for reader in out.values():
            reader.end()


def test_a_dead_group_cannot_fill_redis(small, readers, patience):
    db = small.db
    db.xgroup_create(P + "results", "dead", "0")
    assert len(db.xreadgroup("dead", "d", {P + "results": ">"}, count=3)[0][1]) == 3  # and it never acknowledges
    add(db, 5, "marker-early")
    for reader in readers.values():
        wait_until("the readers to follow", lambda: any("marker-early" in line for line in reader.lines()), 30 * patience)
        reader.still()
    small.sync.signal(signal.SIGSTOP)
    serial = small.served("shop.internal.test")["serial"]
    small.cli("endpoint", "renew", "shop")
    wait_until("the renewal", lambda: len(small.pebble.serials()) == 2, 60 * patience)
    add(db, 10 * CAP)
    wait_until("the stream to be at its cap", lambda: db.xlen(P + "results") < CAP + 200, 60 * patience)
    lost = int(db.hget(P + "trimmed", "results"))
    assert lost > 8 * CAP and db.hget(P + "trimmed", "results:group") == b"dead"
    wait_until("what it has pending of them to leave it", lambda: db.xpending(P + "results", "dead")["pending"] == 0,
               30 * patience)
    for reader in readers.values():
        reader.go_on()
    small.sync.signal(signal.SIGCONT)
    add(db, 1, "marker-late")
    for name, reader in readers.items():
        wait_until(f"{name} to come to the end", lambda: any("marker-late" in line for line in reader.lines()), 30 * patience)
        assert len(reader.gaps()) == 1, (name, reader.gaps())
    gap = json.loads(readers["json"].gaps()[0])
    assert gap["type"] == "certfleet.gap" and gap["stream"] == "results" and gap["after"] < gap["before"]
    # The agent of the edge missed the event of the renewal, and has the certificate.
    wait_until("the edge to have the renewed certificate",
               lambda: small.served("shop.internal.test")["serial"] != serial, 60 * patience)
    assert " gap " in small.sync.log()


def test_the_alert_names_the_stream_and_the_group(small, patience):
    def opened():
        alerts = json.loads(small.cli("--json", "alerts").stdout)["alerts"]
        return [a for a in alerts if "stream_cap" in json.dumps(a)]
    text = json.dumps(wait_until("the alert", opened, 60 * patience)[0])
    assert "results" in text and "dead" in text and "XGROUP DESTROY cf:{demo}:results dead;" in text and "operator" in text
    metrics = small.schedulers[0].get("/metrics")[1]
    lost = [line for line in metrics.splitlines() if "lost" in line and 'stream="results"' in line]
    assert lost and float(lost[0].rsplit(" ", 1)[1]) > CAP, lost


def test_the_alert_stream_is_bounded_alike(small, patience):
    """A dead group on `alerts`: the cap holds, the loss is counted, followers are told, and it is alerted by what is left."""
    db, stream = small.db, P + "alerts"
    db.xgroup_create(stream, "pager", "0")
    follower = Reader(small, "alerts", [small.program("certfleet"), "-c", small.config, "--json", "alerts", "--follow"])
    try:
        add(db, 1, "before", stream="alerts")
        wait_until("it to follow", lambda: "before" in "".join(follower.lines()), 30 * patience)
        follower.still()
        add(db, 10 * CAP, stream="alerts")
        wait_until("the stream to be at its cap", lambda: db.xlen(stream) < CAP + 200, 60 * patience)
        assert int(db.hget(P + "trimmed", "alerts")) > 8 * CAP
        follower.go_on()
        wait_until("the gap to be told", follower.gaps, 30 * patience)
        gap = json.loads(follower.gaps()[0])
        assert gap["type"] == "certfleet.gap" and gap["stream"] == "alerts", gap
    finally:
        follower.end()
    # The loss of `results` may be told as well: the alert names the last one.
    wait_until("the alert to be open", lambda: [a for a in json.loads(small.cli("--json", "alerts").stdout)["alerts"]
                                                if a["condition"] == "stream_cap"], 60 * patience)
    metrics = small.schedulers[0].get("/metrics")[1]
    lost = [line for line in metrics.splitlines() if "lost" in line and 'stream="alerts"' in line]
    assert lost and float(lost[0].rsplit(" ", 1)[1]) > CAP, lost
    db.xgroup_destroy(stream, "pager")


def test_who_keeps_up_has_no_gap(small, readers, patience):
    before = {name: len(reader.gaps()) for name, reader in readers.items()}
    for i in range(6):
        add(small.db, CAP // 2, f"steady{i}")
        for reader in readers.values():
            wait_until("it to be read", lambda: any(f"steady{i}" in line for line in reader.lines()), 30 * patience)
    assert {name: len(reader.gaps()) for name, reader in readers.items()} == before


def test_requests_are_never_dropped(small, patience):
    """Far more than the cap of them, while nobody leads: each is answered once somebody does."""
    assert small.schedulers[0].stop() == 0
    n = 3 * CAP
    with small.db.pipeline(transaction=False) as pipe:
        for i in range(n):
            pipe.xadd(P + "requests", {"id": str(i), "type": "endpoint.verify", "source": "flood", "subject": "nobody",
                                       "data": msgpack.packb({})})
        pipe.execute()
    add(small.db, 10)
    assert small.db.xlen(P + "requests") == n
    small.schedulers[0].start()
    wait_until("all to be answered", lambda: small.db.xlen(P + "requests") == 0, 60 * patience)
    assert all(small.db.exists(f"{P}req:flood:{i}") for i in range(n))
