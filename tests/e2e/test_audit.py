"""Damage of every kind, at random, to a fleet that stands still: one pass finds it all and restores it, a second finds
nothing. And to one that works: no pass disturbs it, and a Redis that became another is looked through at once."""
import json
import os
import random
import re
import time

import msgpack
import pytest
import redis
from conftest import running_stack
from servers import wait_until

P = "cf:{demo}:"
FAR = 4102444800000
SEEDS = int(os.environ.get("CERTFLEET_SEEDS", "3"))


def pack(value):
    return msgpack.packb(value, use_bin_type=False)


def unpack(value):
    return msgpack.unpackb(value, raw=True, strict_map_key=False)


@pytest.fixture(scope="module")
def fleet():
    config = {"scheduler": {"verify_fast": "1s", "verify_every": "2s"}}
    for stack in running_stack(sync=False, workers=1, schedulers=1, config=config):
        stack.db = redis.Redis.from_url(stack.redis.url)
        for i in range(24):
            name, tenant = f"n{i}.internal.test", f"t{i % 4}"
            if i % 3 == 0:
                stack.knot.add(stack.challenge_cname(name, tenant))
            stack.cli("endpoint", "add", name, "--type", "internal", "--tenant", tenant, "--id", f"e{i}")
        stack.wait_states("active", [f"e{i}" for i in range(0, 24, 3)], 120)
        yield stack


def audit(stack, *args):
    done = stack.cli("--json", "audit", *args, check=False)
    return done.returncode, json.loads(done.stdout)


# --- damage, each to a random endpoint

def set_record(db, id, field, change):
    r = unpack(db.hget(f"{P}e:{id}", field))
    change(r)
    db.hset(f"{P}e:{id}", field, pack(r))


def place(db, id):
    """Where the look of this endpoint stands: its due set, or None."""
    r, tenant = unpack(db.hget(f"{P}e:{id}", "jv")), db.hget(f"{P}e:{id}", "n").decode()
    return f"{P}due:verify:{r[2]}:{tenant}" if r[0] == 1 else None


def lose_due(db, id, rng):
    db.zrem(place(db, id), id)


def wrong_due(db, id, rng):
    db.zincrby(place(db, id), rng.randrange(1, 10**7), id)


def other_lane(db, id, rng):
    tenant = db.hget(f"{P}e:{id}", "n").decode()
    lane = rng.choice([x for x in range(4) if not place(db, id).startswith(f"{P}due:verify:{x}:")])
    db.zadd(f"{P}due:verify:{lane}:{tenant}", {id: 1})


def other_tenant(db, id, rng):
    db.zadd(f"{P}due:verify:2:stranger", {id: 1})
    db.zadd(f"{P}wake:verify:2", {"stranger": 1})


def runs_nowhere(db, id, rng):
    """It runs by its record, and its lease is over: no index says so."""
    db.zrem(place(db, id), id)
    set_record(db, id, "jv", lambda r: r.__setitem__(slice(0, 2), [2, r[1]]))


def runs_too(db, id, rng):
    db.zadd(f"{P}run:{rng.choice(['verify', 'issue'])}", {id: FAR})


def parked_too(db, id, rng):
    db.zadd(f"{P}parked:{rng.choice(['verify', 'issue'])}", {id: 1})


def forgotten(db, id, rng):
    db.hdel(f"{P}e:{id}", "jv")


def rubbish(db, id, rng):
    db.hset(f"{P}e:{id}", "jv", rng.choice([b"\xc1", b"rubbish", pack([1, 2, 3]), pack({"a": 1})]))


def planned_nowhere(db, id, rng):
    key = place(db, id)
    set_record(db, id, "jv", lambda r: r.__setitem__(0, 0))
    if rng.randrange(2):
        db.zrem(key, id)


def too_late(db, id, rng):
    key = place(db, id)
    set_record(db, id, "jv", lambda r: r.__setitem__(1, FAR))
    db.zadd(key, {id: FAR})


def unlisted(db, id, rng):
    db.zrem(P + "endpoints", id)


def ghost(db, id, rng):
    name = f"ghost{rng.randrange(10**6)}"
    key = rng.choice(["endpoints", "expiry", "run:verify", "run:issue", "parked:verify", "parked:issue"])
    db.zadd(P + key, {name: rng.choice([1, FAR])})


def ghost_due(db, id, rng):
    db.zadd(place(db, id), {f"ghost{rng.randrange(10**6)}": 1})


def sleeper(db, id, rng):
    db.zadd(f"{P}{rng.choice(['wake', 'ready'])}:{rng.choice(['verify', 'issue'])}:{rng.randrange(4)}",
            {f"ghost{rng.randrange(100)}": 1})


def never_woken(db, id, rng):
    db.delete(*(f"{P}{kind}:verify:{lane}" for kind in ("wake", "ready") for lane in range(4)))


def woken_late(db, id, rng):
    db.zadd(f"{P}wake:verify:2", {db.hget(f"{P}e:{id}", "n").decode(): FAR})


def wrong_expiry(db, id, rng):
    if rng.randrange(2):
        db.zadd(P + "expiry", {id: rng.randrange(10**6)})
    else:
        db.zrem(P + "expiry", "e0")


def ghost_claim(db, id, rng):
    name = f"ghost{rng.randrange(10**6)}.test"
    db.hset(f"{P}dom:{rng.randrange(4096):03x}", name, pack(["t", "ghost", [["t", "ghost", 1]], []]))


def lost_claim(db, id, rng):
    for key in db.scan_iter(match=P.replace("{", "[{]") + "dom:*"):
        db.hdel(key, f"n{id[1:]}.internal.test")


def wrong_count(db, id, rng):
    db.hset(f"{P}rt:{rng.choice(['verify', 'issue'])}", rng.choice(["t0", "t1", "ghost"]), rng.choice([-3, 1, 99, "x"]))


DAMAGE = [lose_due, wrong_due, other_lane, other_tenant, runs_nowhere, runs_too, parked_too, forgotten, rubbish,
          planned_nowhere, too_late, unlisted, ghost, ghost_due, sleeper, never_woken, woken_late, wrong_expiry,
          ghost_claim, lost_claim, wrong_count]
ON_A_DUE_JOB = {lose_due, wrong_due, other_lane, runs_nowhere, planned_nowhere, too_late, ghost_due}


def break_it(db, rng, kinds):
    for kind in kinds:
        ids = [f"e{i}" for i in range(24)]
        if kind in (unlisted, lost_claim):  # one that no list and no claim names any more is lost to every index
            ids = ids[:12] if kind is unlisted else ids[12:]
        if kind in ON_A_DUE_JOB:
            ids = [i for i in ids if due(db, i)]
        if ids:
            kind(db, rng.choice(ids), rng)


def due(db, id):
    raw = db.hget(f"{P}e:{id}", "jv")
    try:
        return raw and unpack(raw)[0] == 1 and len(unpack(raw)) == 16
    except (ValueError, KeyError, TypeError):
        return False


# --- the invariant, written a second time

def waits(db, q, lane, tenant):
    return any(db.zscore(f"{P}{kind}:{q}:{lane}", tenant) is not None for kind in ("wake", "ready"))


def faults(db):
    """Everything in the indexes that the records do not say, and the reverse."""
    out, ids = [], [i.decode() for i in db.zrange(P + "endpoints", 0, -1)]
    keys = {k.decode() for k in db.scan_iter(match=P.replace("{", "[{]") + "*", count=1000)}
    if sorted(ids) != sorted(k[len(P) + 2:] for k in keys if k.startswith(P + "e:")):
        out.append("endpoints")
    want = {}
    for id in ids:
        tenant = db.hget(f"{P}e:{id}", "n").decode()
        for q, field in (("verify", "jv"), ("issue", "ji")):
            raw = db.hget(f"{P}e:{id}", field)
            r = unpack(raw) if raw else [0]
            where = {1: f"due:{q}:{r[2] if r[0] else 0}:{tenant}", 2: f"run:{q}", 3: f"parked:{q}"}.get(r[0])
            if where:
                want.setdefault(where, {})[id] = float(r[1])
            if q == "verify" and (r[0] == 0 or r[0] == 1 and r[1] == FAR):
                out.append(f"{id} is not looked at")
    for key in {k[len(P):] for k in keys if re.match(r"(due|run|parked):", k[len(P):])} | set(want):
        if key.endswith(":stranger") and not waits(db, *key.split(":")[1:]):
            continue  # of a tenant who waits nowhere and has no endpoint: nobody will ever read it
        if dict((m.decode(), s) for m, s in db.zrange(P + key, 0, -1, withscores=True)) != want.get(key, {}):
            out.append(key)
    for key in [k for k in want if k.startswith("due:")]:
        _, q, lane, tenant = key.split(":")
        first = min(want[key].values())
        wake = db.zscore(f"{P}wake:{q}:{lane}", tenant)
        if db.zscore(f"{P}ready:{q}:{lane}", tenant) is None and (wake is None or wake > first):
            out.append(f"{tenant} does not wake for {key}")
    certified = {i for i in ids if db.hexists(f"{P}e:{i}", "x")}
    if {m.decode() for m in db.zrange(P + "expiry", 0, -1)} != certified or db.zcount(P + "expiry", 0, 10**9):
        out.append("expiry")
    claimed = {}
    for key in [k for k in keys if k.startswith(P + "dom:")]:
        for name, packed in db.hgetall(key).items():
            claimed[name.decode()] = [c[1].decode() for c in unpack(packed)[2]]
    if claimed != {f"n{i[1:]}.internal.test": [i] for i in ids}:
        out.append("claims")
    for q in ("verify", "issue"):
        running = {}
        for id in want.get(f"run:{q}", {}):
            tenant = db.hget(f"{P}e:{id}", "n")
            running[tenant] = running.get(tenant, 0) + 1
        if {t: n for t, n in db.hgetall(f"{P}rt:{q}").items()} != {t: b"%d" % n for t, n in running.items()}:
            out.append(f"rt:{q}")
        for kind in ("wake", "ready"):
            for lane in range(4):
                for tenant in db.zrange(f"{P}{kind}:{q}:{lane}", 0, -1):
                    if not db.exists(f"{P}due:{q}:{lane}:{tenant.decode()}"):
                        out.append(f"{kind}:{q}:{lane} {tenant}")
    return out


@pytest.fixture(scope="module")
def still(fleet):
    """The fleet without its daemons."""
    for server in fleet.schedulers + fleet.workers:
        assert server.stop() == 0
    yield fleet


def test_each_kind_alone(still):
    assert audit(still)[1]["found"] == 0 and faults(still.db) == []
    for kind in DAMAGE:
        rng = random.Random(kind.__name__)
        break_it(still.db, rng, [kind])
        assert faults(still.db) != [], kind.__name__
        status, seen = audit(still, "--repair")
        assert status == 0 and seen["repaired"] == seen["found"], (kind.__name__, seen)
        assert seen["found"] > 0 or kind is sleeper, kind.__name__  # that one is put right without a word
        assert faults(still.db) == [], kind.__name__
        status, seen = audit(still)
        assert status == 0 and seen["found"] == 0, (kind.__name__, seen)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_many_at_once(still, seed):
    rng = random.Random(seed)
    break_it(still.db, rng, [rng.choice(DAMAGE) for _ in range(30)])
    status, seen = audit(still)
    assert status == 3 and seen["found"] > 0 and seen["repaired"] == 0
    status, seen = audit(still, "--repair")
    assert status == 0 and seen["repaired"] == seen["found"] and seen["failed"] == 0, seen
    assert faults(still.db) == [] and audit(still)[1]["found"] == 0


def metric(stack, name, **labels):
    """The sum of a metric's series that have these labels."""
    total = 0.0
    for line in stack.schedulers[0].get("/metrics")[1].splitlines():
        if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def test_at_work_no_pass_disturbs_and_the_leader_mends(still, patience):
    fleet = still
    for server in fleet.schedulers + fleet.workers:
        server.start()
    looked = metric(fleet, "certfleet_audit_passes_total")
    for _ in range(10):
        assert audit(fleet, "--repair")[1]["found"] == 0, "what is at work looks broken to a pass"
    log = fleet.workers[0].log()
    assert "job_lost" not in log and "job_outcome_refused" not in log
    wait_until("a pass of the leader", lambda: metric(fleet, "certfleet_audit_passes_total") > looked, 60 * patience)
    found = metric(fleet, "certfleet_audit_found_total", finding="stray")
    fleet.db.zadd(P + "expiry", {"ghost": FAR})
    wait_until("the leader to mend it", lambda: fleet.db.zscore(P + "expiry", "ghost") is None, 60 * patience)
    wait_until("it to be counted", lambda: metric(fleet, "certfleet_audit_found_total", finding="stray") == found + 1,
               20 * patience)
    wait_until("the repair to be counted", lambda: metric(fleet, "certfleet_audit_repaired_total") >= 1, 60 * patience)


def test_another_redis_is_looked_through_at_once(still, patience):
    fleet = still
    passes = metric(fleet, "certfleet_audit_passes_total")
    wait_until("the end of a pass", lambda: metric(fleet, "certfleet_audit_passes_total") > passes, 60 * patience, 0.02)
    fleet.db.zadd(P + "expiry", {"ghost": FAR})  # five seconds before the next pass would come
    time.sleep(1.1)  # appendfsync everysec
    fleet.redis.kill()
    fleet.redis.start()
    wait_until("it to be mended", lambda: fleet.db.zscore(P + "expiry", "ghost") is None, 60 * patience)
    log = fleet.schedulers[0].log()
    moved, found = log.rindex("event=redis_moved"), log.rindex("event=audit_found")
    assert moved < found and log[moved:found].count("\n") < 20
    wait_until("all to be looked at again", lambda: audit(fleet)[1]["found"] == 0, 30 * patience)
