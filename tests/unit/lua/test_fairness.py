"""Lanes, virtual time, the newcomers' reserve, suspects, and what a reap does."""
import collections

import pytest
from conftest import DUE, LEASE, LOOK, OK, PARKED, RUNNING, Record, pack, unpack


def tenants(fleet, jobs):
    return collections.Counter(fleet.db.hget(fleet.key("e:" + j.id), "n").decode() for j in jobs)


def add_many(fleet, tenant, n, lane=2, first=0):
    for i in range(first, first + n):
        fleet.add(f"{tenant}-{i:04}", tenant=tenant, lane=lane)


def test_lanes_in_order(fleet):
    for lane in (2, 0, 1):
        fleet.add(f"lane{lane}", lane=lane)
    assert [fleet.take(n=1)[0].id for _ in range(3)] == ["lane0", "lane1", "lane2"]


def test_earliest_first(fleet):
    now = fleet.now()
    for i, id in enumerate(["late", "mid", "soon"]):
        fleet.add(id)
        fleet.make_due(id)
        raw = unpack(fleet.db.hget(fleet.key("e:" + id), "jv"))
        raw[1] = now - 1000 * (i + 1)
        fleet.db.hset(fleet.key("e:" + id), "jv", pack(raw))
        fleet.db.zadd(fleet.key("due:verify:2:t1"), {id: raw[1]})
    assert [j.id for j in fleet.take()] == ["soon", "mid", "late"]


def test_tenants_share(fleet):
    add_many(fleet, "big", 150)
    add_many(fleet, "small", 20)
    got = tenants(fleet, fleet.take(n=30))
    assert got == {"big": 15, "small": 15}
    assert tenants(fleet, fleet.take(n=20)) == {"big": 15, "small": 5}


def test_one_at_a_time_is_as_fair(fleet):
    add_many(fleet, "big", 40)
    add_many(fleet, "small", 10)
    jobs = [fleet.take(n=1)[0] for _ in range(20)]
    assert tenants(fleet, jobs) == {"big": 10, "small": 10}


def test_who_was_away_has_no_credit(fleet):
    add_many(fleet, "big", 200)
    for _ in range(2):
        fleet.take(n=50)
    add_many(fleet, "late", 60)
    assert tenants(fleet, fleet.take(n=40)) in ({"big": 20, "late": 20}, {"big": 19, "late": 21}, {"big": 21, "late": 19})


def test_long_jobs_are_charged(fleet):
    """A tenant whose jobs take ten seconds gets a tenth of one whose jobs take none."""
    add_many(fleet, "slow", 100)
    add_many(fleet, "quick", 100)
    count = collections.Counter()
    for _ in range(30):
        for job in fleet.take(n=2):
            tenant = fleet.db.hget(fleet.key("e:" + job.id), "n").decode()
            count[tenant] += 1
            if tenant == "slow":
                raw = unpack(fleet.db.hget(fleet.key("e:" + job.id), "jv"))
                raw[10] -= 10000
                fleet.db.hset(fleet.key("e:" + job.id), "jv", pack(raw))
            assert fleet.finish(job) == OK
    assert count["slow"] <= 8 and count["quick"] >= 52


def test_reserve_for_newcomers(fleet):
    add_many(fleet, "big", 200)
    jobs = fleet.take(n=64, slots=100) + fleet.take(n=36, slots=100, running=64)
    assert len(jobs) == 90
    assert fleet.take(n=10, slots=100, running=90) == []
    fleet.add("newcomer", tenant="new")
    fleet.add("second", tenant="new")
    assert [j.id for j in fleet.take(n=10, slots=100, running=90)] == ["newcomer"]
    assert fleet.take(n=9, slots=100, running=91) == []
    assert len(fleet.take(n=1, slots=9, running=8)) == 1


def test_hopeless_neighbour(fleet):
    """50,000 of one tenant would be 2,000 here: the other's only endpoint is in the next take."""
    pipe = fleet.db.pipeline(transaction=False)
    add_many(fleet, "hopeless", 2000)
    pipe.execute()
    for _ in range(3):
        fleet.take(n=64, slots=1000)
    fleet.add("good", tenant="other")
    assert "good" in [j.id for j in fleet.take(n=4)]


def test_virtual_time_is_forgotten(fleet):
    for i in range(50):
        fleet.add(f"e{i}", tenant=f"t{i}")
    for job in fleet.take():
        fleet.finish(job)
    left = fleet.db.hkeys(fleet.key("vt:verify"))
    assert left in ([], [b""]) and not fleet.db.exists(fleet.key("rt:verify"))


def test_many_tenants_are_no_list(fleet):
    """Past some tenants the hashes by tenant are tables, and hold nothing but tenants."""
    for i in range(60):
        fleet.add(f"e{i}", tenant=f"t{i}")
    jobs = fleet.take()
    fleet.finish(jobs.pop())
    running = {f"t{j.id[1:]}".encode(): b"1" for j in jobs}
    assert fleet.db.hgetall(fleet.key("rt:verify")) == running
    assert set(fleet.db.hgetall(fleet.key("vt:verify"))) - {b""} == set(running)
    assert {fleet.db.object("encoding", fleet.key(k + ":verify")) for k in ("rt", "vt")} == {b"hashtable"}


def test_what_is_not_due_goes_back(fleet):
    """A tenant that stands in ready with nothing due now: its next job stays, and wakes it."""
    fleet.add("due", tenant="t1")
    fleet.add("later", tenant="t1", due=fleet.now() + 60000)
    fleet.add("other", tenant="t2")
    assert {j.id for j in fleet.take(n=2)} == {"due", "other"}
    before = fleet.db.zrange(fleet.key("due:verify:2:t1"), 0, -1, withscores=True)
    assert [id for id, _ in before] == [b"later"] and fleet.take(n=1) == []
    assert fleet.db.zrange(fleet.key("due:verify:2:t1"), 0, -1, withscores=True) == before
    assert fleet.db.zrange(fleet.key("wake:verify:2"), 0, -1, withscores=True) == [(b"t1", before[0][1])] and fleet.clean()


def test_next_due_hint(fleet):
    def hint(n=1):
        return fleet.run("take", "verify", "w", "0" * 15 + str(fleet.now()), n, LEASE, 100, 0, 1)[1]
    assert hint() == 1000
    fleet.add("a", due=fleet.now() + 300)
    assert 0 < hint() <= 300
    fleet.add("b")
    fleet.add("c")
    assert hint() == 0


def test_lapsed_becomes_suspect(fleet):
    for i in range(5):
        fleet.add(f"e{i}")
    fleet.take(n=5)
    for i in range(5):
        fleet.lapse(f"e{i}")
    assert fleet.run("reap", "verify") == [5, 5, 0]
    assert {fleet.record(f"e{i}").lane for i in range(5)} == {3} and fleet.clean()
    assert fleet.take(suspects=0) == []
    assert len(fleet.take(n=64, suspects=2)) == 2
    assert len(fleet.take(n=64)) == 3
    assert fleet.record("e0").lapses == 0


def test_what_lapsed_as_a_suspect_runs_alone(fleet):
    """A killed worker's jobs come back 16 at once; the one that kills again is told from its neighbours."""
    for i in range(20):
        fleet.add(f"e{i:02}")
    fleet.take(n=20)
    for i in range(20):
        fleet.lapse(f"e{i:02}")
    fleet.run("reap", "verify")
    first = fleet.take(n=64)
    assert len(first) == 16
    for job in first:
        fleet.lapse(job.id)
    fleet.run("reap", "verify")
    assert len(fleet.take(n=64, worker="w2", suspects=3)) <= 3  # some run there: none that must be alone
    for job in first:
        if fleet.record(job.id).where == 1:
            assert fleet.record(job.id).lapses == 1
    while True:
        jobs = fleet.take(n=64)
        if not jobs:
            break
        alone = [j for j in jobs if fleet.record(j.id).lapses]
        assert not alone or len(jobs) == 1
        for job in jobs:
            assert fleet.finish(job) == OK
    assert fleet.clean()


def test_a_killed_worker_punishes_nobody(fleet):
    """A worker dies with 1,000 jobs, one of which killed it, and kills whoever runs it: that one alone is parked."""
    pipe = fleet.db.pipeline(transaction=False)
    sha = fleet.db.script_load(fleet.texts["apply"])
    for i in range(1000):
        request = {"src": "s", "rid": str(i), "op": "add", "i": f"e{i:04}", "ans": b"", "c": b"c", "n": f"t{i % 9}",
                   "v": [LOOK, 2, 0, "new"]}
        pipe.evalsha(sha, 1, fleet.p, pack(request))
    pipe.execute()
    held = [job for _ in range(16) for job in fleet.take()]
    assert len(held) == 1000
    deaths, kills = 0, []

    def die(jobs):
        for job in jobs:
            fleet.lapse(job.id)
        while fleet.run("reap", "verify")[1]:
            pass

    die(held)
    done = set()
    while True:
        jobs = fleet.take(worker=f"w{deaths}")
        if not jobs:
            break
        if "e0500" in [job.id for job in jobs]:
            deaths += 1
            kills.append(len(jobs))
            die(jobs)
            continue
        reply = fleet.run("finish", "verify", *[pack(fleet.finish_item(job)) for job in jobs])
        assert reply == [OK] * len(jobs)
        done |= {job.id for job in jobs}
    assert deaths == 3 and kills[0] <= 16 and kills[1:] == [1, 1], "after its first lapse as a suspect it runs alone"
    assert done == {f"e{i:04}" for i in range(1000)} - {"e0500"}
    assert fleet.db.zrange(fleet.key("parked:verify"), 0, -1) == [b"e0500"] and fleet.clean()
    assert [unpack(e["data"])[b"endpoint"] for e in fleet.events("edges")] == [b"e0500"]
    fleet.run("ask", "verify", "e0500", LOOK, 0, 0, "retry", 1)
    assert fleet.finish(fleet.take_one("e0500")) == OK


def test_suspects_are_not_starved(fleet):
    fleet.add("poison")
    fleet.take_one("poison")
    fleet.lapse("poison")
    fleet.run("reap", "verify")
    add_many(fleet, "big", 100)
    jobs = fleet.take(n=4)
    assert [j.id for j in jobs][0] == "poison" and len(jobs) == 4


def test_innocent_suspect_is_cleared(fleet):
    fleet.add("a")
    fleet.take_one("a")
    fleet.lapse("a")
    fleet.run("reap", "verify")
    job = fleet.take_one("a")
    assert (job.lane, job.attempt) == (3, 2)
    assert fleet.finish(job, n=[LOOK, 2, 0, "next"]) == OK
    r = fleet.record("a")
    assert (r.lane, r.lapses, r.attempt) == (2, 0, 0)


def test_third_lapse_of_a_suspect_parks(fleet):
    fleet.add("a")
    for lapse in range(4):
        fleet.take_one("a")
        fleet.lapse("a")
        assert fleet.run("reap", "verify") == [1, 1, lapse // 3]
    r = fleet.record("a")
    assert (r.where, r.why, r.lapses) == (PARKED, "lapses", 3) and fleet.clean()
    assert fleet.take() == []
    assert fleet.db.hget(fleet.key("e:a"), "s") == b"parked"
    assert unpack(fleet.events("edges")[0]["data"])[b"open"] is True
    assert fleet.events()[0]["type"] == b"certfleet.endpoint.state"
    fleet.run("ask", "verify", "a", LOOK, 0, 0, "person", 0)
    assert fleet.record("a").where == PARKED
    fleet.run("ask", "verify", "a", LOOK, 0, 0, "retry", 1)
    assert unpack(fleet.events("edges")[1]["data"])[b"open"] is False
    assert fleet.take_one("a").lapses == 0


def test_a_suspect_stays_one_when_released_or_asked(fleet):
    fleet.add("a")
    fleet.take_one("a")
    fleet.lapse("a")
    fleet.run("reap", "verify")
    fleet.run("ask", "verify", "a", LOOK, 0, 0, "person", 0)
    assert fleet.record("a").lane == 3
    job = fleet.take_one("a")
    fleet.run("ask", "verify", "a", LOOK, 0, 0, "person", 0)
    fleet.run("release", "verify", "a", job.token, 0, "drain")
    assert fleet.record("a").lane == 3 and fleet.clean()


def test_reap_is_bounded(fleet):
    for i in range(100):
        fleet.add(f"e{i:03}")
    fleet.take()
    fleet.take()
    for i in range(100):
        fleet.lapse(f"e{i:03}")
    assert fleet.run("reap", "verify") == [64, 64, 0]
    assert fleet.run("reap", "verify") == [36, 36, 0]
    assert fleet.clean() and not fleet.db.exists(fleet.key("rt:verify"))


def test_leases_far_ahead_are_clamped(fleet):
    """As after the clock was set back by an hour."""
    fleet.add("a")
    fleet.add("b")
    job = {j.id: j for j in fleet.take()}["a"]
    raw = unpack(fleet.db.hget(fleet.key("e:a"), "jv"))
    raw[1] += 3600000
    fleet.db.hset(fleet.key("e:a"), "jv", pack(raw))
    fleet.db.zadd(fleet.key("run:verify"), {"a": raw[1]})
    assert fleet.run("reap", "verify") == [0, 0, 0]
    r = fleet.record("a")
    assert r.where == RUNNING and r.due <= fleet.now() + LEASE and fleet.clean()
    assert fleet.finish(job) == OK


def test_beaten_job_is_not_reaped(fleet):
    fleet.add("a")
    job = fleet.take_one("a")
    fleet.db.zadd(fleet.key("run:verify"), {"a": 1})
    assert fleet.run("reap", "verify") == [1, 0, 0]
    assert fleet.record("a").token == job.token and fleet.clean()


def test_due_later_is_not_taken(fleet):
    fleet.add("a", due=fleet.now() + 100000)
    assert fleet.take() == []
    assert Record(fleet.db.hget(fleet.key("e:a"), "jv")).where == DUE
    fleet.make_due("a")
    assert len(fleet.take()) == 1
