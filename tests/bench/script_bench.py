#!/usr/bin/python3
"""How long each script of common/lua holds Redis, called with as much as it takes, in a large fleet.

usage: script_bench.py [ENDPOINTS] [--tenants T] [--rounds R] [--only WORD]

Server time of each call, by SLOWLOG: nothing else in the fleet is answered meanwhile. A call with a wrong answer fails.
"""
import argparse
import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import redis

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "unit/lua"))
from conftest import FIELD, LOOK, OK, PROVISION, REMOVE, Fleet, Job, pack, until, unpack  # noqa: E402

BATCH = 64
DAY = 86400000
FAR = 4102444800000
CROWD, NAMES = 250, 100  # endpoints that all claim the same names; names of an endpoint at most
BUDGET_MS = 20


class Bench:
    def __init__(self, db, endpoints, tenants, rounds):
        self.db, self.fleet, self.n, self.tenants, self.rounds = db, Fleet(db), endpoints, tenants, rounds
        self.times = collections.defaultdict(list)
        self.serial = 0

    def call(self, label, script, *args):
        reply = self.fleet.run(script, *args)
        entry = next(e for e in self.db.slowlog_get(4) if e["command"].startswith(b"EVALSHA"))
        self.times[script, label].append(entry["duration"] / 1000)
        return reply

    def unique(self):
        self.serial += 1
        return f"{self.serial:016x}"

    def ids_of(self, tenant, n):
        """n endpoints of tenant number `tenant`, every so often one of each, others each time."""
        self.serial += 1
        first = self.serial * n
        if tenant is not None:
            return [f"e{(first + i) % (self.n // 10):07}" for i in range(n)]
        start = self.n // 10
        return [f"e{start + (first + i) % (self.n - start):07}" for i in range(n)]

    # --- the fleet

    def fields(self):
        return {"v": os.urandom(600), "x": os.urandom(1000), "k": os.urandom(160), "i": os.urandom(100),
                "t": pack([os.urandom(40) for _ in range(40)])}

    def add(self, pipe, id, tenant, names):
        request = {"src": "bench", "rid": id, "op": "add", "i": id, "ans": b"", "n": tenant, "na": names,
                   "c": pack({"n": names, "pad": "p" * 100}), "v": [LOOK, 2, FAR, "later"], "j": [PROVISION, 2, FAR, "later"]}
        pipe.evalsha(self.sha, 1, self.fleet.p, pack(request))
        pipe.hset(self.fleet.key("e:" + id), mapping=self.fields())
        pipe.zadd(self.fleet.key("expiry"), {id: FAR})

    def fill(self):
        """A tenth of the endpoints is one tenant's; CROWD others claim the same names."""
        self.sha = self.db.script_load(self.fleet.texts["apply"])
        pipe = self.db.pipeline(transaction=False)
        for i in range(self.n):
            tenant = "big" if i < self.n // 10 else f"t{i % self.tenants}"
            self.add(pipe, f"e{i:07}", tenant, [f"www.h{i}.example"])
            if i % 500 == 499:
                pipe.execute()
        for i in range(CROWD):
            self.add(pipe, f"crowd{i:03}", f"c{i}", [f"n{k}.crowd.example" for k in range(NAMES)])
        pipe.execute()
        self.db.config_set("slowlog-log-slower-than", 0)

    # --- jobs

    def take(self, label, q="verify", lease=DAY, n=BATCH, nonce=None):
        """Fewer come when many tenants stand in line with nothing due any more: a call looks at 256."""
        rows = self.call(label, "take", q, "w1", nonce or self.unique(), n, lease, 100000, 0, 16)
        return [Job(row) for row in rows[2:]]

    def take_all(self, label, q="verify", n=BATCH, **more):
        jobs = []
        for _ in range(200):
            if len(jobs) < n:
                jobs += self.take(label, q, n=n - len(jobs), **more)
        assert len(jobs) == n, (label, len(jobs))
        return jobs

    def ask(self, label, ids, q="verify", lane=2):
        args = [a for id in ids for a in (id, LOOK, lane, 0, "bench", 1)]
        assert set(self.call(label, "ask", q, *args)) == {OK}

    def finish(self, label, jobs, q="verify", **more):
        self.finish_each(label, jobs, lambda job: more, q)

    def finish_each(self, label, jobs, more, q="verify"):
        items = [pack({"i": j.id, "k": j.token, "g": int(j.g), "w": j.want, **more(j)}) for j in jobs]
        assert set(self.call(label, "finish", q, *items)) == {OK}

    def later(self):
        return {"n": [LOOK, 2, FAR, "later"]}

    def jobs(self):
        for label, tenant in (("64, of one tenant", 0), ("64, of as many tenants", None)):
            for _ in range(self.rounds):
                self.ask(label, self.ids_of(tenant, BATCH))
                nonce = self.unique()
                jobs = self.take(label, nonce=nonce)
                jobs = self.take(label + ", repeated", nonce=nonce) + self.take_all(label, n=BATCH - len(jobs))
                pairs = [a for j in jobs for a in (j.id, j.token)]
                assert set(self.call(label, "beat", "verify", DAY, *pairs)) == {OK}
                assert set(self.call(label + ", 16 kB each", "checkpoint", "verify", *[
                    a for j in jobs for a in (j.id, j.token, b"o" * 16384)])) == {OK}
                assert self.call("one", "cancel", "verify", jobs[0].id) == 1
                assert set(self.call(label, "release", "verify", *[
                    a for j in jobs for a in (j.id, j.token, 0, "bench")])) == {OK}
                jobs = self.take_all(label)
                self.finish(label, jobs, **self.later(), s=["v", os.urandom(600), "av", False], t=[os.urandom(40)], st="active", r="")

    def certificates(self):
        """A turn in which 64 orders end: all that an issued certificate writes."""
        for names in (1, NAMES):
            label = "64 certificates of one name" if names == 1 else f"a certificate of {NAMES} names"
            for _ in range(self.rounds):
                self.ask("64, of as many tenants", self.ids_of(None, BATCH), q="issue")
                jobs = self.take_all("64, of as many tenants", q="issue")
                items = [pack({"i": j.id, "k": j.token, "g": int(j.g), "w": j.want, **self.later(), **self.issued(names)}) for j in jobs]
                for part in self.parts(items, names):
                    assert set(self.call(label, "finish", "issue", *part)) == {OK}

    def issued(self, names):
        unique = self.unique()
        event = ["certfleet.certificate.issued", "issued/" + unique, os.urandom(300), False]
        return {"s": ["x", os.urandom(1000), "k", os.urandom(160), "i", os.urandom(100), "o", False, "ai", False],
                "t": [os.urandom(40)] * 4, "e": [event, event[:3] + [True]], "x": FAR, "c": ["sha", b"c" * 1500], "st": "active", "r": "",
                "a": [[f"a{k}.{unique}.example", "letsencrypt", "https://ca.example/authz/%d/%s" % (k, unique), FAR] for k in range(names)],
                "o": [LOOK, 1, FAR, "issued"]}

    def parts(self, items, names):
        """As common/queue.c sends them: an item more once there are 100 names."""
        each = max(1, -(-NAMES // names))
        return [items[i:i + each] for i in range(0, len(items), each)]

    def reap(self):
        for _ in range(max(1, self.rounds // 4)):
            for lapsed in range(0, 1024, BATCH):
                self.ask("64, of as many tenants", self.ids_of(None, BATCH))
                self.take_all("64, of as many tenants", lease=1)
            left, calls = 1024, 0
            while left:
                looked, lapsed, parked = self.call("64 of 1,024 that lapsed", "reap", "verify")
                left, calls = left - lapsed, calls + 1
                assert looked and not parked
            self.work_off("verify", park=True)

    def work_off(self, q, park=False):
        """Suspects, 16 at a time; with park the first 64 lapse for the third time."""
        while self.db.exists(self.fleet.key(f"ready:{q}:3"), self.fleet.key(f"wake:{q}:3")):
            jobs = self.take("16 suspects", q, n=16)
            if park and jobs:
                for j in jobs:
                    raw = unpack(self.db.hget(self.fleet.key("e:" + j.id), FIELD[q]))
                    raw[1], raw[5] = 1, 2
                    self.db.hset(self.fleet.key("e:" + j.id), FIELD[q], pack(raw))
                    self.db.zadd(self.fleet.key("run:" + q), {j.id: 1})
                if self.db.zcard(self.fleet.key("run:" + q)) >= BATCH:
                    assert self.call("64 that are parked", "reap", q) == [BATCH, BATCH, BATCH]
                    park = False
            else:
                if jobs:
                    self.finish("16 suspects", jobs, q, **self.later())

    def running(self):
        """Many at once, all counted."""
        for first in range(self.n // 10, self.n // 10 + 2048, BATCH):
            self.ask("64, of as many tenants", [f"e{i:07}" for i in range(first, first + BATCH)])
            self.take_all("64, of as many tenants")
        for _ in range(self.rounds):
            assert self.call("2,048 that run", "recount", "verify", 0) == [2048]

    # --- endpoints and names

    def apply(self, label, op, id, **more):
        request = {"src": "bench", "rid": self.unique(), "op": op, "i": id, "ans": b"answer" * 50, "v": [LOOK, 0, FAR, "x"],
                   "j": [PROVISION, 0, FAR, "x"], "t": b"entry", "e": [["certfleet.endpoint.updated", self.unique(), b"d" * 300]], **more}
        assert self.call(label, "apply", pack(request))[0] == OK, label

    def requests(self):
        for r in range(self.rounds):
            names = [f"n{k}.r{r}.example" for k in range(NAMES)]
            others = [f"m{k}.r{r}.example" for k in range(NAMES)]
            id = f"r{r}"
            self.apply("adds 100 names", "add", id, c=pack({"n": names}), n="t1", na=names)
            self.apply("100 names for 100", "update", id, c=pack({"n": others}), ng=True, na=others, nd=names)
            self.apply("removes 100 names", "remove", id, c=pack({"n": []}), nd=others, j=[REMOVE, 0, FAR, "x"])
            crowd = [f"n{k}.crowd.example" for k in range(NAMES)]
            self.apply("adds 100 names that 250 others claim", "add", f"q{r}", c=pack({"n": crowd}), n=f"q{r}", na=crowd)
            if r == 5:
                break  # a name has at most 256 claims

    def claims(self):
        for r in range(min(self.rounds, 20)):
            id = f"crowd{r:03}"
            self.ask("one", [id], lane=0)
            job = self.take_all("one", n=1)[0]
            names = [f"n{k}.crowd.example" for k in range(NAMES)]
            reply = self.call("100 names from one of 250 that claim them", "claim", "verify", id, job.token,
                              *[a for name in names for a in (name, 1, 1)])
            assert reply[0] == OK and [row[0] for row in reply[1:]] == [1] * NAMES
            assert self.call("one", "authz_forget", "verify", id, job.token, names[0], "none") == OK
            self.finish("one", [job], **self.later())
            x = self.db.hget(self.fleet.key("e:" + id), "x")
            assert self.call("100 names that 250 claim", "reindex", id, x, FAR) == OK
            expect = self.db.hget(self.fleet.key("e:" + id), "jv")
            assert self.call("one", "repair", "verify", id, expect, LOOK, 2, FAR, "bench") == OK

    def removals(self):
        """64 endpoints that go in one turn, each with as many names as it may have, which as many others claim as may."""
        ids = [f"crowd{i:03}" for i in range(100, 100 + BATCH)]
        for id in ids:
            self.apply("removes 100 names that 250 claim", "remove", id, c=pack({"n": []}), nd=[f"n{k}.crowd.example" for k in range(NAMES)],
                       v=[LOOK, 0, FAR, "x"], j=[REMOVE, 0, 0, "x"])
        jobs = self.take_all("64, of as many tenants", q="issue")
        for part in self.parts([pack({"i": j.id, "k": j.token, "g": int(j.g), "w": j.want, "z": True}) for j in jobs], NAMES):
            assert set(self.call("an endpoint of 100 names that 250 claim goes", "finish", "issue", *part)) == {OK}

    # --- the auditor

    def pages(self):
        after, seen = "", 0
        while True:
            reply = self.call("64 endpoints, or one with very many claims", "audit", after, BATCH)
            assert not (wrong := [row[0] for row in reply[1:] if row[10:13] != [1, 1, 1]]), wrong
            seen, after = seen + len(reply) - 1, reply[0].decode()
            if not after:
                break
        assert seen == self.db.zcard(self.fleet.key("endpoints"))
        cursor = ""
        while True:
            reply = self.call("a page", "strays", cursor, 1)
            assert len(reply) == 1, reply[1:]
            cursor = reply[0]
            if not cursor:
                break

    def streams(self):
        key = self.fleet.key("results")
        for name in ("reads", "sleeps"):
            self.db.xgroup_create(key, name, id="0", mkstream=True)
        pipe = self.db.pipeline(transaction=False)
        for i in range(200000):
            pipe.xadd(key, {"id": i, "type": "t", "source": "s", "subject": "s", "time": "t", "data": b"d" * 200})
            if i % 1000 == 999:
                pipe.execute()
        while self.db.xreadgroup("sleeps", "c", {key: ">"}, count=10000):
            pass
        self.db.xgroup_setid(key, "reads", "$")
        while self.db.xlen(key) > 10000 + 1000:
            left = self.call("10,000 entries that a dead group has pending", "trim", "results", 10000, 0, 10000)
            assert left[1] + left[2] > 0

    # --- the rest

    def alerts(self):
        silences = [{"id": f"s{i}", "field": "", "pattern": f"*{i}-quiet*", "reason": "r", "by": "me", "till": FAR} for i in range(256)]
        for s in silences:
            assert self.call("the 256th", "alert_silence", "add", pack(s)) == OK
        data = {"condition": "dns_wrong", "tenant": "t1", "text": "x" * 200, "fix": "y" * 200, "deadline": FAR}
        for r in range(self.rounds):
            def items(open, severity=1, cause=None, form=None):
                more = {"cause": cause} if cause else {}
                return [pack({"key": f"e{r}x{i}/dns_wrong", "open": open, "severity": severity, **({"form": form} if form else {}),
                              "data": {**data, **more, "endpoint": f"e{r}x{i}"}}) for i in range(BATCH)]
            label = "64, held against 256 silences"
            assert self.call(label, "alert", "", *items(True)) == [BATCH, 0, 0]
            assert self.call(label, "alert", "", *items(True, 2)) == [0, BATCH, 0]
            assert self.call("64 of 256 silences' open alerts", "alert_silence", "mark", "s0", 0)[0] == BATCH
            self.call("a page of 64", "alert_snapshot", "bench", 0, 0)
            assert self.call(label, "alert", "", *items(False)) == [0, 0, BATCH] if r % 2 else True
            form = {"least": 8, "window": DAY, "what": "w", "data": {"condition": "dns_provider"}}
            cause = [pack({"key": f"i{r}x{i}/dns", "open": True, "severity": 1, "form": form,
                           "data": {**data, "cause": f"ns:p{r}", "endpoint": f"i{r}x{i}"}}) for i in range(BATCH)]
            assert self.call("64 that make an incident", "alert", "", *cause) == [1, 0, 0]
            assert self.call("64 causes", "alert_causes", DAY, *[f"ns:p{i}" for i in range(BATCH)])[0]
            ends = [pack({"key": f"i{r}x{i}/dns", "open": False, "severity": 1, "data": {**data, "endpoint": f"i{r}x{i}"}}) for i in range(BATCH)]
            self.call("64 that end an incident", "alert", "", *ends)
        self.call("one", "alert_silence", "end", "s0")
        self.call("64", "alert_silence", "lapse")

    def others(self):
        for i in range(300):
            self.call("64 fields", "alive", f"w{i}", self.fleet.now(), 60, *[a for k in range(BATCH) for a in (f"f{k}", "v" * 100)])
        for r in range(self.rounds):
            self.call("256 workers", "fleet", DAY)
            self.call("one", "leader", "hold", "n1", 0, 5000)
            limits = [a for k in range(256) for a in (f"ca:{r}:{k}", 300, 36000, 1)]
            assert self.call("256 limits", "quota", "reserve", f"once{r}", 0, 0, *limits)[0] == 0
            assert self.call("256 limits back", "quota", "refund", f"once{r}", *limits) == 1
            self.call("64 targets", "notify_lease", "n1", 1000, *[f"t{k}" for k in range(BATCH)])
            self.call("one", "publish", "txt", f"label{r}", "v" * 43, 7200)
            held = pack([pack({"endpoint": "e0000001"}), [["t", f"i{r}x{k}", b"d" * 300] for k in range(2)]])
            self.db.set(self.fleet.key(f"req:~s:r{r}"), held)
            assert self.call("one", "answer", "s", f"r{r}", "1-1") == 1
            self.db.set(self.fleet.key("lock"), "holder")
            assert self.call("one", "unlock", "lock", "holder") == 1

    def report(self):
        print(f"{self.n} endpoints, {self.tenants} tenants; longest and 99th percentile of server time, ms; budget {BUDGET_MS} ms a call")
        print(f"{'':58}{'calls':>7}{'longest':>9}{'p99':>8}")
        for (script, label), times in sorted(self.times.items()):
            times.sort()
            mark = "  over" if times[-1] > BUDGET_MS else ""
            print(f"{script + ': ' + label:58}{len(times):>7}{times[-1]:>9.2f}{times[int(len(times) * 0.99) - (len(times) >= 100)]:>8.2f}{mark}")


PARTS = ("jobs", "certificates", "requests", "claims", "pages", "reap", "removals", "alerts", "others", "running", "streams")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoints", nargs="?", type=int, default=100000)
    parser.add_argument("--tenants", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--only", choices=PARTS, action="append")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="cf-script-bench-")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", folder + "/s", "--dir", folder, "--save", "", "--appendonly",
                               "yes", "--auto-aof-rewrite-percentage", "0"], stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(folder + "/s"), "redis-server does not start")
        bench = Bench(redis.Redis(unix_socket_path=folder + "/s"), args.endpoints, args.tenants, args.rounds)
        start = time.monotonic()
        bench.fill()
        print(f"filled in {time.monotonic() - start:.0f} s", flush=True)
        for part in args.only or PARTS:
            start = time.monotonic()
            getattr(bench, part)()
            print(f"{part}: {time.monotonic() - start:.0f} s", flush=True)
        bench.report()
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
