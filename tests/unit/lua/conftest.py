"""Private servers for the scripts of common/lua, and words to say what a test does with them.

Each test runs on Redis 7.0, on Valkey 8, and on a cluster of one node, which refuses keys outside of the one slot.
CERTFLEET_REDIS_SERVER names another server, to run them on that one alone.
"""
import importlib.util
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

import msgpack
import pytest
import redis

TOP = pathlib.Path(__file__).resolve().parents[3]
LUA = TOP / "common" / "lua"
OK, EINVAL, ETOOBIG, ENOTFOUND, EEXIST, ELOST, EGONE, ESTALE = 0, -1, -2, -3, -4, -12, -13, -14
NONE, DUE, RUNNING, PARKED = range(4)
LOOK, PROVISION, RENEW, REVOKE, REMOVE = range(5)
FIELD = {"verify": "jv", "issue": "ji"}
LEASE = 30000
BIN = TOP / "build" / "deps" / "bin"
SERVERS = {"redis-7.0": BIN / "redis-server-7.0", "valkey-8": BIN / "valkey-server-8", "cluster": BIN / "redis-server-7.0"}
if os.environ.get("CERTFLEET_REDIS_SERVER"):
    SERVERS = {"chosen": os.environ["CERTFLEET_REDIS_SERVER"]}


def script_texts():
    spec = importlib.util.spec_from_file_location("embed", LUA / "embed.py")
    embed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(embed)
    names = [p.name for p in LUA.glob("*.lua") if not p.name.startswith("_")]
    return {n[:-4]: embed.resolve(str(LUA), n, set()) for n in names}


def pack(value):
    return msgpack.packb(value, use_bin_type=False)


def unpack(value):
    return msgpack.unpackb(value, raw=True, strict_map_key=False)


class Record:
    NAMES = ("where due lane intent attempt lapses want have token worker since why last lease "
             "cancel asked").split()

    def __init__(self, packed):
        for name, value in zip(self.NAMES, unpack(packed)):
            setattr(self, name, value.decode() if isinstance(value, bytes) else value)


class Job:
    NAMES = "id token attempt lapses intent lane want c g v x i jv ji o d k conditions".split()

    def __init__(self, row):
        for name, value in zip(self.NAMES, row):
            setattr(self, name, value.decode() if name in ("id", "token") else value)


class Fleet:
    """The scripts on one fleet of its own, named by a fresh prefix."""

    def __init__(self, db):
        self.db = db
        self.p = "cf:{%s}:" % uuid.uuid4().hex[:8]
        self.shas = {}
        self.texts = script_texts()

    def run(self, name, *args):
        if name not in self.shas:
            self.shas[name] = self.db.script_load(self.texts[name])
        return self.db.evalsha(self.shas[name], 1, self.p, *args)

    def key(self, name):
        return self.p + name

    def now(self):
        s, us = self.db.time()
        return s * 1000 + us // 1000

    def apply(self, op="add", id="a", **more):
        request = {"src": "test", "rid": uuid.uuid4().hex, "op": op, "i": id, "ans": b"answer"}
        if op == "add":
            request.update(c=b"config", n="t1", v=[LOOK, 2, 0, "new"])
        request.update(more)
        return self.run("apply", pack(request))

    def add(self, id="a", tenant="t1", names=(), verify=True, issue=False, lane=2, due=0):
        more = {"n": tenant, "na": list(names)}
        more["v"] = [LOOK, lane, due, "new"] if verify else None
        more["j"] = [PROVISION, lane, due, "new"] if issue else None
        reply = self.apply("add", id, **{k: v for k, v in more.items() if v is not None} | (
            {} if verify else {"v": None}))
        assert reply[0] == OK, reply

    def take(self, q="verify", n=64, worker="w1", nonce=None, lease=LEASE, slots=1000, running=0, suspects=16):
        rows = self.run("take", q, worker, nonce or uuid.uuid4().hex, n, lease, slots, running, suspects)
        return [Job(row) for row in rows[2:]]

    def take_one(self, id, q="verify", **more):
        jobs = self.take(q, **more)
        assert [j.id for j in jobs] == [id]
        return jobs[0]

    def finish_item(self, job, **more):
        return {"i": job.id, "k": job.token, "g": int(job.g), "w": job.want, **more}

    def finish(self, job, q="verify", **more):
        return self.run("finish", q, pack(self.finish_item(job, **more)))[0]

    def record(self, id, q="verify"):
        return Record(self.db.hget(self.key("e:" + id), FIELD[q]))

    def lapse(self, id, q="verify"):
        """The lease of a running job is over: record and index are set back."""
        raw = unpack(self.db.hget(self.key("e:" + id), FIELD[q]))
        raw[1] = self.now() - 1
        self.db.hset(self.key("e:" + id), FIELD[q], pack(raw))
        self.db.zadd(self.key("run:" + q), {id: raw[1]})

    def make_due(self, id, q="verify"):
        """The time of a job that waits has come."""
        r = self.record(id, q)
        assert r.where == DUE
        tenant = self.db.hget(self.key("e:" + id), "n").decode()
        raw = unpack(self.db.hget(self.key("e:" + id), FIELD[q]))
        raw[1] = self.now() - 1
        self.db.hset(self.key("e:" + id), FIELD[q], pack(raw))
        self.db.zadd(self.key(f"due:{q}:{r.lane}:{tenant}"), {id: raw[1]})
        self.db.zadd(self.key(f"wake:{q}:{r.lane}"), {tenant: raw[1]}, lt=True)

    def audit(self):
        """Every row of the audit, by id: what the indexes of verify and issue say."""
        after, rows = "", {}
        while True:
            reply = self.run("audit", after, 64)
            rows.update({row[0].decode(errors="backslashreplace"): (row[10], row[11]) for row in reply[1:]})
            after = reply[0]
            if not after:
                return rows

    def clean(self):
        return all(row == (1, 1) for row in self.audit().values())

    def events(self, stream="results"):
        return [{k.decode(): v for k, v in f.items()} for _, f in self.db.xrange(self.key(stream))]

    def dump(self):
        """All keys and values of the fleet: to show that a refusal wrote nothing."""
        read = {b"hash": self.db.hgetall, b"string": self.db.get, b"list": lambda k: self.db.lrange(k, 0, -1),
                b"zset": lambda k: self.db.zrange(k, 0, -1, withscores=True), b"stream": self.db.xrange}
        keys = sorted(self.db.scan_iter(match=self.p.replace("{", "[{]") + "*"))
        return {k: read[self.db.type(k)](k) for k in keys}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def start_cluster(db):
    db.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    until(lambda: db.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster does not come up")


@pytest.fixture(scope="session", params=SERVERS)
def server(request):
    program, cluster = str(SERVERS[request.param]), request.param == "cluster"
    assert shutil.which(program), f"there is no {program}: make deps brings it"
    folder = tempfile.mkdtemp(prefix="cf-lua-")
    path = folder + "/redis.sock"
    options = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--maxmemory-policy", "noeviction"]
    if cluster:
        options += ["--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(path), f"{program} does not start")
        db = redis.Redis(unix_socket_path=path)
        if cluster:
            start_cluster(db)
        yield db
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


@pytest.fixture
def fleet(server):
    server.flushall()
    return Fleet(server)
