"""Wrong types, garbage in what is stored, garbage in what is asked: never an error between two writes.

Whatever a script meets, it does its work or refuses it as CFERR with nothing written. CERTFLEET_SEEDS says how many
random histories are tried; the seed is the test's id.
"""
import os
import random
import re

import msgpack
import pytest
import redis
from conftest import LUA, SERVERS, TOP, Fleet, pack, script_texts
from world import DAY, World

CALLS = sorted(World.__init__.__globals__["calls"]({q: {id: type("J", (), {"token": "", "want": 0}) for id in "ag"}
                                                    for q in ("verify", "issue")}, b"", ""))
SEEDS = int(os.environ.get("CERTFLEET_SEEDS", 1))
pytestmark = pytest.mark.parametrize("server", [s for s in SERVERS if s != "cluster"], indirect=True)


@pytest.fixture(scope="module")
def world(server):
    server.flushall()
    return World(Fleet(server))


def test_every_script_is_called(server):
    assert {c.split()[0] for c in CALLS} == set(script_texts())


@pytest.mark.parametrize("call", CALLS)
def test_as_it_should_be(world, call):
    world.restore()
    assert world.outcome(call) is not None and world.fleet.clean()


def consistent(fleet):
    """Ids whose records and indexes do not agree."""
    return {id for id, row in fleet.audit().items() if row != (1, 1)}


def statuses(call, reply):
    """What a call that works on items says of each."""
    if call.split()[0] in ("beat", "checkpoint", "finish", "release", "ask"):
        return reply
    if call.split()[0] in ("apply", "claim"):
        return reply[:1]
    return [reply] if call.split()[0] in ("authz_forget", "cancel", "repair") else [0]


def touched(world, call):
    """The keys that a call looks at or writes; of the thousands of buckets those that are there."""
    world.restore()
    keys, db = set(), world.fleet.db
    with db.monitor() as monitor:
        world.fleet.run(call.split()[0], *world.calls[call])
        db.echo("that was all")
        for line in monitor.listen():
            if line["command"].startswith("ECHO"):
                return sorted(k for k in keys if ":dom:" not in k or k.encode() in world.keys)
            if line["client_type"] == "lua":
                keys |= {word for word in line["command"].split(" ") if word.startswith(world.fleet.p)}


@pytest.mark.parametrize("call", CALLS)
def test_each_key_of_a_wrong_type(world, call):
    """What the call looks at or makes is a list in turn."""
    db = world.fleet.db
    for key in touched(world, call):
        world.restore()
        db.delete(key)
        db.rpush(key, "no such thing")
        before = world.snapshot()
        reply = world.outcome(call)
        if reply is not None and all(s < 0 for s in statuses(call, reply)):
            assert world.snapshot() == before, f"{call}: {key}"
        assert db.lrange(key, 0, -1) == [b"no such thing"] or call == "finish removal", f"{call}: {key}"


# --- garbage

ODD = [float("nan"), float("inf"), -float("inf"), -1, 0.5, 2**53 + 1, 2**64 - 1, -2**63, "", "nan", "inf", "x", "a\nb", "\0",
       "1e300", "9" * 30, None, True, False, [], {}, [[]], {"a": 1}, "k" * 70, ["a"] * 300, b"\xff\xc1"]


def twist_value(rng, value):
    """The value with one thing in it, at any depth, made odd."""
    if isinstance(value, list) and value and rng.random() < 0.85:
        i = rng.randrange(len(value))
        return value[:i] + [twist_value(rng, value[i])] + value[i + 1:]
    if isinstance(value, dict) and value and rng.random() < 0.85:
        k = rng.choice(sorted(value, key=repr))
        return {**value, k: twist_value(rng, value[k])}
    return rng.choice(ODD)


def as_bytes(v):
    return v if isinstance(v, bytes) else v.encode() if isinstance(v, str) else str(v).encode()


def twist_bytes(rng, raw):
    """The packed value twisted, or the bytes cut, flipped, replaced."""
    raw = as_bytes(raw)
    try:
        value = msgpack.unpackb(raw, raw=False, strict_map_key=False, unicode_errors="surrogateescape")
    except (ValueError, TypeError):
        value = None
    way = rng.randrange(10)
    if isinstance(value, (list, dict)) and way < 7:
        return msgpack.packb(twist_value(rng, value), use_bin_type=False, unicode_errors="surrogateescape")
    if way == 7:
        return raw[:rng.randrange(len(raw) + 1)]
    if way == 8 and raw:
        at = rng.randrange(len(raw))
        return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1:]
    if way == 9:
        return rng.randbytes(rng.randrange(80))
    v = rng.choice(ODD)
    return as_bytes(v) if isinstance(v, (str, bytes, int, float)) else pack(v)


def twist_arguments(rng, argv):
    argv, at = list(argv), rng.randrange(len(argv))
    way = rng.randrange(12)
    if way == 0:
        del argv[at]
    elif way == 1:
        argv.insert(at, rng.choice(argv))
    elif way == 2:
        argv += argv[-3:] * rng.randrange(1, 30)
    else:
        argv[at] = twist_bytes(rng, argv[at])
    return argv


def twist_stored(rng, world):
    """One value that is stored somewhere; scores of sorted sets too."""
    db, key = world.fleet.db, rng.choice(world.keys)
    kind = db.type(key)
    if kind == b"hash":
        field = rng.choice(sorted(db.hkeys(key)))
        db.hset(key, field, twist_bytes(rng, db.hget(key, field)))
        if rng.random() < 0.1:
            db.hdel(key, field)
    elif kind == b"zset":
        member = rng.choice(db.zrange(key, 0, -1))
        db.zadd(key, {rng.choice([member, "nobody", b"\xff"]): rng.choice([float("inf"), -float("inf"), 0.5, -1, 2**60])})
    elif kind == b"string":
        db.set(key, twist_bytes(rng, db.get(key)))


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("call", CALLS)
def test_garbage_in_arguments(world, call, seed):
    """What is accepted leaves every record in its place."""
    rng = random.Random(f"{call} {seed}")
    world.restore()
    for n in range(8):
        argv = world.calls[call]
        for _ in range(rng.choice((1, 1, 2))):
            argv = twist_arguments(rng, argv) if argv else []
        if world.outcome(call, argv, world.restored) is not None:
            assert not consistent(world.fleet), argv
            world.restore()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("call", CALLS)
def test_garbage_in_what_is_stored(world, call, seed):
    rng = random.Random(f"{call} {seed}")
    for n in range(6):
        world.restore()
        for _ in range(rng.choice((1, 2, 4))):
            twist_stored(rng, world)
        world.outcome(call)


# --- maxmemory

def documented():
    """The table of scripts in common/README.md: name → has a star, those apart that only read."""
    rows = re.findall(r"^\| `(\w+)`(\*?)", (TOP / "common" / "README.md").read_text(), re.M)
    return {name: bool(star) for name, star in rows if name in script_texts()}


@pytest.mark.parametrize("call", CALLS)
def test_at_maxmemory(world, call):
    """Each either works as ever, or is refused before it runs: as its first line and the documentation say."""
    script = call.split()[0]
    first = (LUA / f"{script}.lua").read_text().splitlines()[0]
    works = "allow-oom" in first or "no-writes" in first
    assert documented().get(script, "allow-oom" in first) == ("allow-oom" in first)
    world.restore()
    world.fleet.shas[script] = world.fleet.db.script_load(world.fleet.texts[script])
    world.fleet.db.config_set("maxmemory", 1)
    try:
        if works:
            assert world.outcome(call, before=world.restored) is not None
        else:
            with pytest.raises(redis.ResponseError, match="OOM|used memory"):
                world.fleet.run(script, *world.calls[call])
            assert world.snapshot() == world.restored
    finally:
        world.fleet.db.config_set("maxmemory", 0)
    assert world.fleet.clean()
