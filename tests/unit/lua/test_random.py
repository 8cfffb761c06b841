"""Random histories: after each step every record stands where it says, and the counts agree.

Workers are killed, replies get lost, and the clock goes back. The seed is the test's id; CERTFLEET_SEEDS says how many.
"""
import collections
import os
import random
import uuid

import pytest
from conftest import DUE, EEXIST, EGONE, ELOST, LOOK, NONE, OK, PARKED, PROVISION, REMOVE, RUNNING, pack, unpack

QUEUES = ("verify", "issue")


class History:
    def __init__(self, fleet, seed):
        self.fleet, self.rng = fleet, random.Random(seed)
        self.held = {q: [] for q in QUEUES}  # jobs as taken, some of them stale by now
        self.ended = {q: set() for q in QUEUES}  # tokens of finished and released runs
        self.born = 0

    def some_id(self):
        ids = self.fleet.db.zrange(self.fleet.key("endpoints"), 0, -1)
        return self.rng.choice(ids).decode() if ids else "nobody"

    def plan(self):
        due = self.rng.choice([0, 0, self.fleet.now() + self.rng.randrange(3000000)])
        return [LOOK, self.rng.randrange(3), due, "random"]

    def add(self):
        self.born += 1
        tenant = f"t{self.rng.randrange(4)}"
        name = f"{'*.' * self.rng.randrange(2)}n{self.rng.randrange(30)}.example"
        reply = self.fleet.apply("add", f"e{self.born}", n=tenant, na=[name], v=self.plan(), j=self.plan())
        assert reply[0] in (OK, EEXIST)

    def update(self):
        reply = self.fleet.apply(self.rng.choice(["update", "touch"]), self.some_id(), c=b"new", v=self.plan(),
                                 ng=self.rng.random() < 0.5)
        assert reply[0] in (OK, -3)

    def remove(self):
        id = self.some_id()
        names = [n.decode() for key in self.fleet.db.scan_iter(match="*dom:*")
                 for n, d in self.fleet.db.hgetall(key).items() if any(c[1].decode() == id for c in unpack(d)[2])]
        self.fleet.apply("remove", id, nd=names + ["*." + n for n in names], j=[REMOVE, 0, 0, "removed"])

    def take(self):
        q = self.rng.choice(QUEUES)
        how = dict(n=self.rng.randrange(1, 9), worker=f"w{self.rng.randrange(3)}", nonce=uuid.uuid4().hex, slots=20,
                   running=self.rng.randrange(21), suspects=self.rng.choice((0, 1, 5, 16)))
        jobs = self.fleet.take(q, **how)
        for job in jobs:
            assert job.token not in self.ended[q] and self.current(q, job)
        if self.rng.random() < 0.3:  # the reply is lost
            again = self.fleet.take(q, **how)
            assert [(j.id, j.token, j.attempt) for j in again] == [(j.id, j.token, j.attempt) for j in jobs]
        self.held[q] += jobs

    def some_job(self):
        q = self.rng.choice(QUEUES)
        return q, self.rng.choice(self.held[q]) if self.held[q] else None

    def current(self, q, job):
        raw = self.fleet.db.hget(self.fleet.key("e:" + job.id), "jv" if q == "verify" else "ji")
        return raw and unpack(raw)[0] == RUNNING and unpack(raw)[8].decode() == job.token

    def finish(self):
        q, job = self.some_job()
        if not job:
            return
        good = self.current(q, job)
        more = {}
        if self.rng.random() < 0.8:
            more["n"] = self.plan()
        elif self.rng.random() < 0.3:
            more["p"] = "gave_up"
        if self.rng.random() < 0.3:
            more["o"] = self.plan()
        if q == "issue" and job.intent == REMOVE:
            more["z"] = True
        status = self.fleet.finish(job, q, **more)
        self.lost(status, lambda: self.fleet.finish(job, q, **more))
        self.judge(q, job, status, good or job.token in self.ended[q], "z" in more)

    def release(self):
        q, job = self.some_job()
        if job:
            good = self.current(q, job)
            argv = ["release", q, job.id, job.token, self.plan()[2], "random"]
            status = self.fleet.run(*argv)[0]
            self.lost(status, lambda: self.fleet.run(*argv)[0])
            self.judge(q, job, status, good or job.token in self.ended[q], False)

    def lost(self, status, call):
        """The reply is lost at times, and the call made again: the same answer, and nothing is written."""
        if self.rng.random() < 0.3:
            before = self.fleet.dump()
            assert call() == status and self.fleet.dump() == before

    def judge(self, q, job, status, good, removes):
        if status == OK:
            assert good or removes and not self.fleet.db.exists(self.fleet.key("e:" + job.id))
            self.ended[q].add(job.token)
        else:
            assert status in (ELOST, EGONE)

    def beat(self):
        q, job = self.some_job()
        if job:
            good = self.current(q, job)
            assert (self.fleet.run("beat", q, 30000, job.id, job.token)[0] >= 0) == bool(good)

    def ask(self):
        self.fleet.run("ask", self.rng.choice(QUEUES), self.some_id(), *self.plan(), self.rng.randrange(2))

    def lapse(self):
        q = self.rng.choice(QUEUES)
        for id in self.fleet.db.zrange(self.fleet.key("run:" + q), 0, 2):
            self.fleet.lapse(id.decode(), q)
        self.fleet.run("reap", q)

    def kill(self):
        """A worker dies with all that it holds."""
        worker = f"w{self.rng.randrange(3)}"
        for q in QUEUES:
            for id in self.fleet.db.zrange(self.fleet.key("run:" + q), 0, -1):
                if self.fleet.record(id.decode(), q).worker == worker:
                    self.fleet.lapse(id.decode(), q)
            while self.fleet.run("reap", q)[1]:
                pass

    def clock_back(self):
        """An hour: every lease lies far ahead until it is clamped."""
        for q in QUEUES:
            for id in self.fleet.db.zrange(self.fleet.key("run:" + q), 0, -1):
                key, raw = self.fleet.key("e:" + id.decode()), None
                raw = unpack(self.fleet.db.hget(key, "jv" if q == "verify" else "ji"))
                raw[1] += 3600000
                self.fleet.db.hset(key, "jv" if q == "verify" else "ji", pack(raw))
                self.fleet.db.zadd(self.fleet.key("run:" + q), {id: raw[1]})
            assert self.fleet.run("reap", q)[1:] == [0, 0]
            assert all(at <= self.fleet.now() + 60000 for _, at in
                       self.fleet.db.zrange(self.fleet.key("run:" + q), 0, -1, withscores=True))

    def make_due(self):
        q, id = self.rng.choice(QUEUES), self.some_id()
        if id != "nobody" and self.fleet.record(id, q).where == DUE:
            self.fleet.make_due(id, q)

    def claim(self):
        q, job = self.some_job()
        if job:
            self.fleet.run("claim", q, job.id, job.token, f"n{self.rng.randrange(30)}.example", 1, self.rng.randrange(3))

    STEPS = {add: 4, update: 3, remove: 1, take: 6, finish: 10, release: 2, beat: 2, ask: 3, lapse: 1, make_due: 6, claim: 3,
             kill: 0.3, clock_back: 0.3}

    def step(self):
        self.rng.choices(list(self.STEPS), list(self.STEPS.values()))[0](self)

    def check_places(self):
        assert {id: row for id, row in self.fleet.audit().items() if row != (1, 1)} == {}

    def check(self):
        f = self.fleet
        self.check_places()
        ids = [i.decode() for i in f.db.zrange(f.key("endpoints"), 0, -1)]
        for q in QUEUES:
            counts = collections.Counter()
            for id in ids:
                if f.record(id, q).where == RUNNING:
                    counts[f.db.hget(f.key("e:" + id), "n")] += 1
            assert {t: int(n) for t, n in f.db.hgetall(f.key("rt:" + q)).items()} == counts
            due = sum(f.db.zcard(k) for k in f.db.scan_iter(match=f"*due:{q}:*"))
            assert due == sum(f.record(id, q).where == DUE for id in ids)
            assert f.db.zcard(f.key("run:" + q)) == sum(counts.values())
            assert f.db.zcard(f.key("parked:" + q)) == sum(f.record(id, q).where == PARKED for id in ids)
        claimed = {c[1].decode() for key in f.db.scan_iter(match="*dom:*") for d in f.db.hvals(key) for c in unpack(d)[2]}
        assert claimed <= set(ids)


SEEDS = int(os.environ.get("CERTFLEET_SEEDS", 3))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_history(fleet, seed):
    history = History(fleet, seed)
    for i in range(300):
        history.step()
        history.check_places()
        if i % 10 == 9:
            history.check()
    for q in QUEUES:  # in the end all that is due can be taken and finished
        for _ in range(200):
            for id in fleet.db.zrange(fleet.key("endpoints"), 0, -1):
                if fleet.record(id.decode(), q).where == DUE:
                    fleet.make_due(id.decode(), q)
            jobs = fleet.take(q)
            for job in jobs:
                assert fleet.finish(job, q) == OK
            if not jobs:
                break
        history.check()
        assert all(fleet.record(i.decode(), q).where != DUE for i in fleet.db.zrange(fleet.key("endpoints"), 0, -1))
