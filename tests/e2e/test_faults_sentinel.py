"""The fault table, a Sentinel failover in the middle of finalize, with barriers (redis.replicas: 1) and without.

Both replicas are parted from the primary before the orders begin, so that what the workers write then is on the primary
alone. With barriers nobody comes to finalize until a replica is back; without, they do, and the failover loses it.
"""
import base64
import hashlib
import hmac
import signal
import subprocess

import msgpack
import pytest
import redis as redis_py
from conftest import running_stack, slow
from faults import (JobWorker, all_well, crash_points, happened, import_endpoints, internal, key, line_time, log_lines,
                    orders_of, row, step_line, wait_active)
from servers import wait_until

N = 10
LEASE_S = 4
REPLICAS = 2
POINT_BYTES = 65  # of P-256: 04, x, y
STOPS = ("first", "second")


@pytest.fixture(params=[1, 0], ids=["barriers", "none"])
def fleet(request):
    """A Sentinel promotes nobody who was parted for longer than ten times down_after_ms."""
    stack = running_stack(
        sync=False, pebble={"authz_reuse": 0}, redis="sentinel",
        redis_options={"replicas": REPLICAS, "down_after_ms": 1000 * slow()},
        config={"log": {"level": "debug"}, "worker": {"roles": ["http-01", "dns-01"], "lease": f"{LEASE_S}s"},
                "redis": {"replicas": request.param, "timeout": "25s", "barrier_timeout": "20s"}})
    for fleet in stack:
        fleet.barriers = request.param
        yield fleet


# --- replicas

def connected(server):
    return redis_py.Redis(**server.client_args())


def in_step(primary):
    """Until both replicas have all that the primary has."""
    def acknowledged():
        with connected(primary) as r:
            r.set("written", 1)
            return r.execute_command("wait", REPLICAS, 1000) == REPLICAS
    wait_until("both replicas in step", acknowledged, 20 * slow())


def part(fleet):
    """No replica gets anything more from the primary; the Sentinels reach them still."""
    primary = fleet.primary()
    in_step(primary)
    for replica in [m for m in fleet.redis.members if m is not primary]:
        replica.command("config", "set", "masteruser", "nobody", "masterauth", "nothing")
        replica.command("client", "kill", "type", "master")
    wait_until("no replica", lambda: "connected_slaves:0" in primary.command("info", "replication"), 20)


def unpart(fleet):
    for server in fleet.redis.members:
        if server.alive():
            server.command("config", "set", "masteruser", "", "masterauth", "")


# --- keys

def checkpoints(server, ids):
    """Of the endpoints that have one."""
    with connected(server) as r:
        found = {i: r.hget(key(f"e:{i}"), "o") for i in ids}
    return {i: packed for i, packed in found.items() if packed}


def public_point(fleet, packed):
    """Of the key in a checkpoint. It is sealed as common/vault.h says; below its tag GCM is CTR, from 2 on."""
    with open(fleet.path("certificates.key"), "rb") as f:
        extracted = hmac.new(bytes(32), f.read(), hashlib.sha256).digest()
    data_key = hmac.new(extracted, b"certfleet vault 1 certificates\x01", hashlib.sha256).digest()
    sealed = msgpack.unpackb(packed, raw=True)[b"k"]
    counter = sealed[6:18].hex() + "00000002"
    return subprocess.run(["openssl", "enc", "-d", "-aes-256-ctr", "-K", data_key.hex(), "-iv", counter],
                          input=sealed[18:-16], capture_output=True, check=True).stdout[-POINT_BYTES:]


def certified_point(fleet, endpoint):
    serial, = fleet.certificates()[(f"{endpoint}.internal.test",)]
    pem = fleet.pebble.certificate(serial)[1]
    text = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=pem, capture_output=True, text=True,
                          check=True).stdout
    return base64.b64decode("".join(text.splitlines()[1:-1]))[-POINT_BYTES:]


# --- the fault

def other_worker(fleet):
    """Has issued a certificate, so that the account is there, and is away until somebody has died."""
    other = JobWorker(fleet, "other", issue=N)
    fleet.workers.append(other)
    fleet._start(other)
    ids = import_endpoints(fleet, [internal(0, "before")])
    fleet.wait_states("active", ids, 60 * slow())
    assert other.stop() == 0, other.log_tail()
    return other


def stop_at_finalize(fleet, folder, workers):
    """Two workers with all jobs between them stop as soon as one of their orders comes to finalize."""
    part(fleet)
    for w in workers:
        fleet._start(w, wait=False)
    if fleet.barriers:
        wait_until("all to stand at the barrier", lambda: len(log_lines(workers, " step=barrier ")) == N, 60 * slow())
        assert not log_lines(workers, " step=finalize "), "the barrier let somebody through"
        unpart(fleet)
    wait_until("both workers to stop", lambda: all(happened(folder, s) for s in STOPS), 60 * slow())
    if fleet.barriers:
        in_step(fleet.primary())  # the Sentinels' idea of who has more may be seconds old


def extra_orders(workers, ids, switch, failed):
    """endpoint -> why, of those for which newOrder was asked again: the failover lost the first order."""
    causes = {}
    for endpoint in ids:
        asked = [line_time(x) for x in log_lines(workers, step_line(endpoint, "new_order"))]
        assert len(asked) <= 2 + failed.count(endpoint), f"{endpoint}: {len(asked)} times newOrder"
        if len(asked) > 1:
            assert asked[0] < switch.at < asked[1]
            causes[endpoint] = f"the order of {switch.at - asked[0]:.1f} s before was on the dead primary alone"
    return causes


def test_failover_in_the_middle_of_finalize(fleet, patience):
    """One of the stopped workers goes on, the other dies and a third takes over."""
    other = other_worker(fleet)
    folder = crash_points(fleet, [(name, "stop", " step=finalize ") for name in STOPS])
    workers = [JobWorker(fleet, name, issue=N // 2, folder=folder) for name in ("goes-on", "dies")]
    fleet.workers += workers
    ids = import_endpoints(fleet, [internal(i, "s") for i in range(N)])
    stop_at_finalize(fleet, folder, workers)
    saved, asked_for = checkpoints(fleet.primary(), ids), len(log_lines(workers, " step=finalize "))
    switch = fleet.failover()
    kept = checkpoints(switch.new, ids)
    unpart(fleet)
    workers[0].signal(signal.SIGCONT)
    workers[1].kill()
    other.start(wait=False)
    failed = wait_active(fleet, ids, 90 * patience)
    everybody = [*workers, other]
    extra = extra_orders(everybody, ids, switch, failed)
    (with_barriers if fleet.barriers else without)(fleet, everybody, ids, saved, kept, extra, failed, asked_for)


def with_barriers(fleet, workers, ids, saved, kept, extra, failed, stopped):
    keys = {i: public_point(fleet, packed) for i, packed in saved.items()}
    assert len(keys) == N and {i: public_point(fleet, packed) for i, packed in kept.items()} == keys, "a key was lost"
    assert not extra and not failed, (extra, failed)
    assert all(len(orders_of(workers, i)) == 1 for i in ids)
    assert all(certified_point(fleet, i) == keys[i] for i in ids), "another key"
    orders = all_well(fleet, ["before0", *ids], N + 1) - 1
    resumed = [i for i in ids if log_lines(workers, step_line(i, "read_order"))]
    assert resumed, "nobody took over"
    row("Sentinel failover in the middle of finalize, with barriers (a replica)",
        "no key is lost whose certificate was asked for: an order and a certificate each, of the checkpointed key",
        f"nobody beyond the barrier before a replica was back; {len(kept)} of {N} checkpoints on the new primary, "
        f"{stopped} at finalize, {len(resumed)} orders taken up by another start of their job; {orders} orders and "
        f"{N} certificates for {N} endpoints, each of its checkpointed key")


def without(fleet, workers, ids, saved, kept, extra, failed, stopped):
    assert saved and not kept, "nothing was lost: nothing was shown"
    assert set(extra) <= set(saved)
    print("\n" + "\n".join(f"{i}: {why}" for i, why in extra.items()))
    orders = all_well(fleet, ["before0", *ids], 1 + N + len(extra) + len(failed), certificates=2) - 1
    twice = sum(len(fleet.certificates()[(f"{i}.internal.test",)]) > 1 for i in ids)
    row("Sentinel failover in the middle of finalize, without barriers, both replicas behind",
        "at most one order more for each job in flight",
        f"{len(saved) - len(kept)} of {len(saved)} checkpoints lost with the old primary, {stopped} at finalize; {orders} "
        f"orders for {N} endpoints: {len(extra)} placed again (the first was on the dead primary alone); {twice} certificates twice")
