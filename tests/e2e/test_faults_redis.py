"""The fault table, Redis: connections cut in the middle of a script, scripts gone, SIGKILL with AOF, out of memory."""
import os
import select
import signal
import socket
import struct
import time

import pytest
from conftest import running_stack
from faults import all_well, import_endpoints, internal, job, key, log_lines, row, wait_active
from servers import LOOPBACK, wait_until
from stack import CHALLENGE_ZONE

N = 14


@pytest.fixture(scope="module")
def fleet():
    """Eight orders at a time, a second or two each, so that there are always some under way."""
    yield from running_stack(sync=False, proxied=True, pebble={"authz_reuse": 0},
                             config={"worker": {"lease": "5s", "slots": {"verify": 50, "issue": 4}},
                                     "scheduler": {"lease": "3s"}})


@pytest.fixture(autouse=True)
def quiet(fleet):
    """Each test counts the orders that it caused."""
    fleet.orders_before = fleet.pebble.orders_added()


def judged(fleet, ids, orders, **kwargs):
    return all_well(fleet, ids, fleet.orders_before + orders, **kwargs) - fleet.orders_before


def wait_begun(fleet, n, patience):
    wait_until("orders under way", lambda: fleet.pebble.orders_added() >= fleet.orders_before + n, 60 * patience, 0.02)


def failures(failed):
    return f" ({len(failed)} asked for again: the authority had looked while Redis was away)" if failed else ""


CUTS = [("take", "workers"), ("finish", "workers"), ("checkpoint", "workers"), ("beat", "workers"), ("claim", "workers"),
        ("apply", "schedulers"), ("reap", "schedulers"), ("alert", "schedulers")]


@pytest.mark.parametrize("how", ["cut_before", "cut_after"])
def test_connection_cut_in_the_middle(fleet, patience, how):
    """Each script's connection is cut once or twice at each process, before it reaches Redis or before its answer comes back."""
    rules = {}
    for script, who in CUTS:
        for server in getattr(fleet, who):
            rules.setdefault(script, []).append(getattr(fleet.proxies[server.name], how)(script, times=2 if script in ("take", "finish") else 1))
    ids = import_endpoints(fleet, [internal(i, how.replace("_", "-")) for i in range(N)])
    failed = wait_active(fleet, ids, 90 * patience)
    cuts = {script: sum(r.hits for r in of) for script, of in rules.items()}
    for of in rules.values():
        for rule in of:
            rule.drop()
    assert all(cuts[s] for s in ("take", "finish", "checkpoint", "apply")), cuts
    orders = judged(fleet, ids, N + len(failed))
    row(f"connection cut {'before' if how == 'cut_before' else 'after'} Redis runs take, finish, checkpoint, beat, apply",
        "no order more, each job once", f"{sum(cuts.values())} cuts ({', '.join(f'{s} {n}' for s, n in cuts.items() if n)}), "
        f"{orders} orders for {N} endpoints{failures(failed)}")


def test_leases_are_extended_first_when_redis_is_back(fleet, patience):
    """Whatever else a worker would say: its leases went on ending meanwhile."""
    worker, proxy = fleet.workers[0], fleet.proxies["worker1"]
    ids = import_endpoints(fleet, [internal(i, "back") for i in range(N)])
    wait_until("jobs in it", lambda: any(holds(fleet, i, worker) for i in ids), 60 * patience, 0.02)
    said = []
    scripts = proxy.count(lambda args: args[0].upper() == b"EVALSHA" and said.append(proxy.word(args)))
    running = [i for i in ids if holds(fleet, i, worker)]
    proxy.cut()
    said.clear()
    wait_until("it to beat", lambda: "beat" in said, 20 * patience, 0.02)
    scripts.drop()
    assert running and said[0] == "beat", said
    failed = wait_active(fleet, ids, 90 * patience)
    orders = judged(fleet, ids, N + len(failed))
    row("Redis away for a moment while a worker has jobs", "their leases are extended before anything else is said",
        f"{len(running)} jobs running; first script on the new connection: {said[0]}; {orders} orders for {N} endpoints{failures(failed)}")


def question(name):
    """A question for TXT, as it goes over UDP."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    return b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\x10\0\1"


def put(kind, port, message):
    """Sends it; whoever listens has it when this returns."""
    s = socket.socket(socket.AF_INET, kind)
    s.settimeout(20)
    s.connect((LOOPBACK, port))
    s.sendall(message)
    return s


def heard(s, wanted):
    """What came until the end, or until what is wanted was in it."""
    got = b""
    while wanted not in got:
        more = s.recv(65536)
        if not more:
            break
        got += more
    s.close()
    return got


def test_a_question_waits_for_redis(fleet, patience):
    """The worker's connections are cut and refused: whoever asks meanwhile gets the right answer a moment later."""
    worker, proxy = fleet.workers[0], fleet.proxies["worker1"]
    fleet.redis.command("hset", key("txt:held"), "value", "1")
    fleet.redis.command("set", key("http:held"), "held.value")
    ask = question(f"held.{CHALLENGE_ZONE}")
    proxy.refuse()
    try:
        wait_until("it to notice", lambda: worker.get("/readyz")[0] == 503, 20 * patience, 0.02)
        asked = time.monotonic()
        waiting = {"dns, UDP": put(socket.SOCK_DGRAM, worker.dns_port, ask),
                   "dns, TCP": put(socket.SOCK_STREAM, worker.dns_port, struct.pack("!H", len(ask)) + ask),
                   "http": put(socket.SOCK_STREAM, worker.http_port,
                               b"GET /.well-known/acme-challenge/held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")}
        for _ in range(5):  # its one loop goes round: by then it has read them, and has no Redis
            assert worker.get("/readyz")[0] == 503
        assert not select.select(list(waiting.values()), [], [], 0)[0], "nobody is answered yet"
    finally:
        proxy.accept()
    wanted = {"dns, UDP": b"\x05value", "dns, TCP": b"\x05value", "http": b"held.value"}
    answers = {what: heard(s, wanted[what]) for what, s in waiting.items()}
    took = time.monotonic() - asked
    assert all(wanted[what] in answer for what, answer in answers.items()), answers
    row("a responder is asked while its connection to Redis is cut", "the question waits up to 2 s for Redis",
        f"UDP, TCP and HTTP answered rightly, {took:.1f} s after they were asked")


def test_leases_that_end_while_redis_is_silent_are_not_held_against_the_jobs(fleet, patience):
    """It stands still for longer than a lease: each worker gives its jobs up in time, and back when it can."""
    ids = import_endpoints(fleet, [internal(i, "still") for i in range(N)])
    wait_until("jobs under way", lambda: sum(job(fleet, i).get("where") == 2 for i in ids) >= 4, 60 * patience, 0.02)
    lost = len(log_lines(fleet.workers, "event=job_lost endpoint=still"))
    lapsed = len(log_lines(fleet.schedulers, "event=leases_lapsed"))
    fleet.redis.signal(signal.SIGSTOP)
    try:
        wait_until("the workers to give their jobs up",
                   lambda: len(log_lines(fleet.workers, "event=job_lost endpoint=still")) >= lost + 4, 30 * patience, 0.1)
    finally:
        fleet.redis.signal(signal.SIGCONT)
    failed = wait_active(fleet, ids, 90 * patience)
    given_up = len(log_lines(fleet.workers, "event=job_lost endpoint=still")) - lost
    assert len(log_lines(fleet.schedulers, "event=leases_lapsed")) == lapsed
    orders = judged(fleet, ids, N + len(failed))
    row("Redis stands still for longer than a lease while orders are under way",
        "work stops before a lease can lapse; no job becomes a suspect",
        f"{given_up} jobs given up and taken up again, no lease reaped; {orders} orders for {N} endpoints{failures(failed)}")


def holds(fleet, endpoint, worker):
    record = job(fleet, endpoint)
    return record.get("where") == 2 and record["worker"] == worker.name


def test_scripts_are_gone(fleet, patience):
    """SCRIPT FLUSH under load, twice, then a restart that forgets them all."""
    ids = import_endpoints(fleet, [internal(i, "flush") for i in range(N)])
    wait_begun(fleet, 3, patience)
    fleet.redis.command("script", "flush", "sync")
    subscribers = int(fleet.redis.command("client", "kill", "type", "pubsub"))
    wait_begun(fleet, N // 2, patience)
    fleet.redis.command("script", "flush", "sync")
    wait_until("all to subscribe again", lambda: fleet.redis.command("client", "list", "type", "pubsub").count("\n") + 1
               >= subscribers, 20 * patience, 0.1)
    fleet.redis.restart()
    failed = wait_active(fleet, ids, 90 * patience)
    orders = judged(fleet, ids, N + len(failed))
    row("Redis without its scripts (SCRIPT FLUSH twice, then a restart), subscribers cut off", "no order more",
        f"{orders} orders for {N} endpoints{failures(failed)}; {subscribers} subscribers came back")


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_killed_with_aof(fleet, patience, fsync):
    fleet.redis.command("config", "set", "appendfsync", fsync)
    ids = import_endpoints(fleet, [internal(i, fsync) for i in range(N)])
    wait_begun(fleet, N // 2, patience)
    fleet.redis.kill()
    fleet.redis.start()
    up = time.monotonic()
    wait_until("the workers to have Redis again", lambda: all(w.ready() for w in fleet.workers), 20 * patience, 0.02)
    back = time.monotonic() - up
    failed = wait_active(fleet, ids, 90 * patience)
    orders = judged(fleet, ids, N + len(failed))
    row(f"Redis SIGKILL with AOF ({fsync})", "what Redis answered is there; an order each",
        f"{orders} orders for {N} endpoints{failures(failed)}; workers ready {back:.1f} s after Redis")


def aof_size(fleet):
    folder = fleet.redis.path("appendonlydir")
    return {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}


def test_killed_and_a_second_of_its_aof_lost(fleet, patience):
    """What a power failure does with appendfsync everysec: the end of the file was never on the disk."""
    ids = import_endpoints(fleet, [internal(i, "power") for i in range(N)])
    wait_begun(fleet, 2, patience)
    issued = len(fleet.pebble.serials())
    before, begun = aof_size(fleet), fleet.pebble.orders_added() - fleet.orders_before
    sampled = time.monotonic()
    wait_until("some certificates", lambda: len(fleet.pebble.serials()) >= issued + 10, 60 * patience, 0.02)
    fleet.redis.kill()
    lost = time.monotonic() - sampled
    placed = fleet.pebble.orders_added() - fleet.orders_before
    for name, size in before.items():
        if name.endswith(".aof"):
            os.truncate(os.path.join(fleet.redis.path("appendonlydir"), name), size)
    fleet.redis.start()
    failed = wait_active(fleet, ids, 90 * patience)
    orders = judged(fleet, ids, N + placed + len(failed), certificates=2)
    twice = sum(len(serials) > 1 for names, serials in fleet.certificates().items() if names[0].startswith("power"))
    row("Redis SIGKILL, the end of its AOF lost (power failure with everysec)",
        "at most one more order for each job in flight", f"{orders} orders for {N} endpoints{failures(failed)}: {begun} placed before the "
        f"lost {lost:.1f} s, {placed - begun} within them; {twice} certificates twice")
