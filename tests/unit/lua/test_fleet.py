"""Requests, claims, the leader, audit and repair, trimming."""
import uuid

import pytest
import redis
from conftest import DUE, EEXIST, EINVAL, ENOTFOUND, ESTALE, LOOK, NONE, OK, PROVISION, REMOVE, pack, unpack

UNPROVEN, HELD, ELSEWHERE = 0, 1, 2
FAR = 4102444800000


def claim(fleet, job, name, proven=1, exclusive=0, q="verify"):
    status, *rows = fleet.run("claim", q, job.id, job.token, name, proven, exclusive)
    assert status == OK
    return rows[0]


def dom(fleet, name):
    for key in fleet.db.scan_iter(match="*dom:*"):
        packed = fleet.db.hget(key, name)
        if packed:
            return unpack(packed)


# --- requests

def test_request_from_the_stream(fleet):
    fleet.db.xgroup_create(fleet.key("requests"), "scheduler", mkstream=True)
    sid = fleet.db.xadd(fleet.key("requests"), {"type": "endpoint.add"}).decode()
    fleet.db.xreadgroup("scheduler", "s1", {fleet.key("requests"): ">"})
    event = ["certfleet.request.done", "r1", b"\x80"]
    assert fleet.apply("add", "a", rid="r1", sid=sid, ans=b"done", e=[event]) == [OK, 0, b"", 1]
    assert fleet.db.get(fleet.key("req:test:r1")) == b"done"
    assert 86000 < fleet.db.ttl(fleet.key("req:test:r1")) <= 86400
    assert fleet.db.xlen(fleet.key("requests")) == 0
    assert fleet.db.xpending(fleet.key("requests"), "scheduler")["pending"] == 0
    again = fleet.db.xadd(fleet.key("requests"), {"type": "endpoint.add"}).decode()
    assert fleet.apply("add", "a", rid="r1", sid=again) == [OK, 1, b"", 0]
    assert fleet.db.xlen(fleet.key("requests")) == 0 and len(fleet.events()) == 1


def test_refused_request_is_answered(fleet):
    assert fleet.apply("refuse", "", rid="r1", ans=b"no", e=[["certfleet.request.refused", "r1", b"\x80"]])[0] == OK
    assert fleet.db.get(fleet.key("req:test:r1")) == b"no" and len(fleet.events()) == 1
    assert not fleet.db.exists(fleet.key("endpoints"))


def test_sources_are_kept_apart(fleet):
    fleet.apply("refuse", "", src="a:b", rid="c")
    assert fleet.apply("refuse", "", src="a", rid="b:c")[1] == 0
    assert fleet.db.exists(fleet.key("req:a%3Ab:c"), fleet.key("req:a:b:c")) == 2


def test_source_and_id_have_one_limit(fleet):
    """What apply takes, answer must be able to show: 128 bytes each, the mark of a hidden answer not counted."""
    fleet.db.xgroup_create(fleet.key("requests"), "scheduler", mkstream=True)
    at, beyond = "s" * 128, "s" * 129
    hidden = pack([pack({"endpoint": ""}), []])
    assert fleet.apply("refuse", "", src="~" + at, rid=at, ans=hidden)[:2] == [OK, 0]
    assert fleet.run("answer", at, at, "1-1") == 1
    assert fleet.db.exists(fleet.key(f"req:{at}:{at}"))
    assert fleet.apply("refuse", "", src=at, rid="other")[:2] == [OK, 0]
    before = fleet.dump()
    for call in [("apply", pack({"src": src, "rid": rid, "op": "refuse", "i": "", "ans": b""}))
                 for src, rid in ((beyond, "r"), ("~" + beyond, "r"), ("~", "r"), ("s", beyond))] + \
            [("answer", beyond, "r", "1-1"), ("answer", "s", beyond, "1-1")]:
        with pytest.raises(redis.ResponseError, match="CFERR EINVAL.*128 bytes"):
            fleet.run(*call)
    assert fleet.dump() == before


@pytest.mark.parametrize("request_,status", [
    ({"op": "add", "id": "a"}, EEXIST), ({"op": "update", "id": "nobody"}, ENOTFOUND),
    ({"op": "touch", "id": "nobody"}, ENOTFOUND), ({"op": "remove", "id": "nobody"}, ENOTFOUND),
    ({"op": "update", "id": "a", "x": 7}, ESTALE), ({"op": "update", "id": "a", "n": "t2"}, EINVAL),
    ({"op": "add", "id": "b", "na": ["b.example", "a.example"]}, EEXIST),
    ({"op": "add", "id": "b", "na": ["*.a.example"]}, EEXIST)])
def test_refusals_write_nothing(fleet, request_, status):
    fleet.add("a", names=["a.example", "*.a.example"])
    before = fleet.dump()
    assert fleet.apply(**request_)[0] == status
    assert fleet.dump() == before


def test_conflict_names_both(fleet):
    fleet.add("a", names=["a.example"])
    assert fleet.apply("add", "b", na=["a.example"])[2] == b"a.example is in endpoint a"
    fleet.add("c", names=["*.a.example"])
    fleet.add("d", tenant="t2", names=["a.example"])
    fleet.add("e", tenant="t2", names=["*.a.example"])


def test_name_moves_between_endpoints(fleet):
    fleet.add("a", names=["a.example", "b.example"])
    fleet.add("b", names=["c.example"])
    assert fleet.apply("update", "b", na=["b.example"])[0] == EEXIST
    assert fleet.apply("update", "a", nd=["b.example"], ng=True)[3] == 2
    assert unpack(fleet.db.hget(fleet.key("e:a"), "d")) == [b"b.example"]
    assert fleet.apply("update", "b", na=["b.example"])[0] == OK
    job = [j for j in fleet.take() if j.id == "a"][0]
    assert fleet.finish(job, d=["b.example"]) == OK
    assert not fleet.db.hexists(fleet.key("e:a"), "d")
    assert dom(fleet, "b.example")[2] == [[b"t1", b"b", 1]]


def test_name_dropped_and_taken_back(fleet):
    fleet.add("a", names=["a.example"])
    fleet.apply("update", "a", nd=["a.example"])
    job = fleet.take_one("a")
    fleet.apply("update", "a", na=["a.example"])
    assert not fleet.db.hexists(fleet.key("e:a"), "d")
    assert fleet.finish(job, d=["a.example"]) == OK
    assert dom(fleet, "a.example")[2] == [[b"t1", b"a", 1]]


def test_dropped_names_are_bounded(fleet):
    """A config that changes again and again before the names are released."""
    fleet.add("a", names=[])
    for i in range(3):
        assert fleet.apply("update", "a", nd=[f"n{i}-{n}.example" for n in range(100)])[0] == OK
    before = fleet.dump()
    assert fleet.apply("update", "a", nd=["one-more.example"])[:3] == [-2, 0, b"more than 300 names wait for their release"]
    assert fleet.dump() == before
    assert fleet.apply("update", "a", nd=["n0-1.example"])[0] == OK, "it waits already"
    job = fleet.take_one("a")
    assert fleet.finish(job, d=[f"n{i}-{n}.example" for i in range(3) for n in range(100)]) == OK
    assert not fleet.db.hexists(fleet.key("e:a"), "d")


def test_those_who_look_at_free_names_are_bounded(fleet):
    """One call asks 256 claimants at most; the rest see it at their next look."""
    names = [f"n{i}.example" for i in range(50)]
    fleet.add("a", tenant="t0", names=names)
    job = fleet.take_one("a")
    fleet.run("claim", "verify", "a", job.token, *[x for n in names for x in (n, 1, 0)])
    for i in range(1, 9):
        fleet.add(f"b{i}", tenant=f"t{i}", names=names, verify=False)
    assert fleet.finish(job, z=True, d=names) == OK
    assert sum(fleet.record(f"b{i}").want for i in range(1, 9)) == 256 and fleet.clean()


def test_too_many_claims(fleet):
    for i in range(256):
        fleet.add(f"e{i}", tenant=f"t{i}", names=["popular.example"], verify=False)
    assert fleet.apply("add", "one-more", n="t-last", na=["popular.example"])[0] == -2


# --- claims

def test_unproven_holds_nothing(fleet):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    assert claim(fleet, job, "a.example", 0, 0) == [UNPROVEN, []]
    assert claim(fleet, job, "a.example", 1, 0) == [HELD, []]
    assert claim(fleet, job, "a.example", 0, 0) == [HELD, []]


def test_only_an_exclusive_proof_takes_over(fleet):
    fleet.add("a", tenant="t1", names=["a.example"])
    fleet.add("b", tenant="t2", names=["a.example"])
    jobs = {j.id: j for j in fleet.take()}
    assert claim(fleet, jobs["a"], "a.example")[0] == HELD
    assert fleet.finish(jobs["a"], a=[["*.a.example", "ca", "https://ca/1", FAR], ["a.example", "ca", "old", 1]]) == OK
    assert claim(fleet, jobs["b"], "a.example", 0, 0) == [ELSEWHERE, []]
    assert claim(fleet, jobs["b"], "a.example", 1, 0) == [ELSEWHERE, []]
    assert claim(fleet, jobs["b"], "a.example", 1, 1) == [HELD, [[b"ca", b"https://ca/1", FAR]]]
    assert fleet.record("a").where == DUE and fleet.record("a").why == "claim_lost"
    again = fleet.take_one("a")
    assert claim(fleet, again, "a.example", 1, 0) == [ELSEWHERE, []]
    assert fleet.run("authz_forget", "verify", "b", jobs["b"].token, "a.example", "https://ca/1") == OK
    assert claim(fleet, jobs["b"], "*.a.example", 0, 0) == [HELD, []]


def test_own_authorizations_are_not_stale(fleet):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    claim(fleet, job, "a.example")
    fleet.finish(job, n=[LOOK, 2, 0, ""], a=[["a.example", "ca", "u", FAR]])
    assert claim(fleet, fleet.take_one("a"), "a.example", 0, 0) == [HELD, []]


def test_who_leaves_sees_its_own_authorizations(fleet):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    claim(fleet, job, "a.example")
    fleet.finish(job, n=[LOOK, 2, 0, ""], a=[["a.example", "ca", "u", FAR]])
    job = fleet.take_one("a")
    assert claim(fleet, job, "a.example", 0, 2) == [HELD, [[b"ca", b"u", FAR]]]
    before = fleet.dump()
    assert claim(fleet, job, "other.example", 1, 2) == [UNPROVEN, []]
    assert claim(fleet, job, "other.example", 1, 1) == [UNPROVEN, []], "not of its config: nothing is taken"
    assert fleet.dump() == before


def test_released_name_is_free(fleet):
    fleet.add("a", tenant="t1", names=["a.example"])
    job = fleet.take_one("a")
    claim(fleet, job, "a.example")
    fleet.add("b", tenant="t2", names=["a.example"], verify=False)
    fleet.apply("update", "a", nd=["a.example"])
    assert fleet.finish(job, d=["a.example"], n=[LOOK, 2, fleet.now() + 10**6, ""]) == OK
    assert dom(fleet, "a.example")[:3] == [b"", b"", [[b"t2", b"b", 1]]]
    assert fleet.record("b").why == "claim_free"
    assert claim(fleet, fleet.take_one("b"), "a.example")[0] == HELD


def test_hold_stays_with_the_tenant(fleet):
    fleet.add("a", names=["a.example"])
    fleet.add("b", names=["*.a.example"], verify=False)
    job = fleet.take_one("a")
    claim(fleet, job, "a.example")
    fleet.apply("update", "a", nd=["a.example"])
    fleet.finish(job, d=["a.example"])
    assert dom(fleet, "a.example")[:3] == [b"t1", b"b", [[b"t1", b"b", 2]]]


def test_buckets_are_emptied(fleet):
    fleet.add("a", names=["a.example"])
    fleet.apply("remove", "a", nd=["a.example"])
    fleet.finish(fleet.take_one("a"), z=True)
    assert not fleet.db.exists(fleet.key("e:a")), "removal needs no names: field d has them"
    assert not list(fleet.db.scan_iter(match="*dom:*"))


# --- the leader

def hold(fleet, nonce, term=0, lease=5000):
    return fleet.run("leader", "hold", nonce, term, lease)


def test_leader(fleet):
    leads, term, now, holder, left = hold(fleet, "one")
    assert (leads, holder, left) == (1, b"one", 5000) and term >= now - 1
    assert hold(fleet, "two")[:2] == [0, 0]
    assert hold(fleet, "one", term)[:2] == [1, term]
    assert fleet.run("leader", "resign", "one", term - 1, 1) == 0
    assert fleet.run("leader", "resign", "one", term, 1) == 1
    assert hold(fleet, "two")[1] > term


def test_leader_lapses(fleet):
    first = hold(fleet, "one")[1]
    fleet.db.hset(fleet.key("leader"), "until", fleet.now() - 1)
    assert hold(fleet, "one", first)[:2] == [1, first], "nobody came: it goes on"
    fleet.db.hset(fleet.key("leader"), "until", fleet.now() - 1)
    second = hold(fleet, "two")[1]
    assert second > first and hold(fleet, "one", first)[0] == 0
    assert hold(fleet, "two", 0)[1] > second, "its reply was lost"


def test_leader_and_the_clock(fleet):
    term = hold(fleet, "one")[1]
    fleet.db.hset(fleet.key("leader"), mapping={"until": fleet.now() + 3600000, "term": term + 10**6})
    assert hold(fleet, "two")[4] <= 5000
    fleet.db.hset(fleet.key("leader"), "until", 0)
    assert hold(fleet, "two")[1] == term + 10**6 + 1


@pytest.mark.parametrize("garbage", ["nan", "inf", "-1e300", "1e300", "x", ""])
@pytest.mark.parametrize("field", ["term", "until", "lease"])
def test_leader_and_garbage(fleet, field, garbage):
    """It is led again within a lease, by one who can go on leading."""
    hold(fleet, "one")
    fleet.db.hset(fleet.key("leader"), field, garbage)
    leads, term, now, _, left = hold(fleet, "two")
    assert leads or left <= 3600000
    fleet.db.hset(fleet.key("leader"), "until", 0)
    leads, term, now, _, _ = hold(fleet, "two")
    assert leads == 1 and now <= term <= now + 10**6 and hold(fleet, "two", term)[:2] == [1, term]


# --- audit and repair

def test_audit_pages(fleet):
    for i in range(150):
        fleet.add(f"e{i:03}", names=[f"{i}.example"])
    reply = fleet.run("audit", "", 64)
    assert len(reply) == 65 and reply[0] == b"e063"
    assert reply[1][:3] == [b"e000", b"config", b"1"]
    assert len(fleet.audit()) == 150 and fleet.clean()


DAMAGE = {
    "due lost": lambda f: f.db.zrem(f.key("due:verify:2:t1"), "a"),
    "due score": lambda f: f.db.zincrby(f.key("due:verify:2:t1"), 5, "a"),
    "not woken": lambda f: f.db.delete(f.key("wake:verify:2")),
    "woken late": lambda f: f.db.zadd(f.key("wake:verify:2"), {"t1": FAR}),
    "runs too": lambda f: f.db.zadd(f.key("run:verify"), {"a": FAR}),
    "parked too": lambda f: f.db.zadd(f.key("parked:verify"), {"a": 1}),
    "bad record": lambda f: f.db.hset(f.key("e:a"), "jv", b"\xc1"),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_damage_is_found_and_repaired(fleet, damage):
    fleet.add("a")
    DAMAGE[damage](fleet)
    assert fleet.audit() == {"a": (0, 1)}
    seen = fleet.db.hget(fleet.key("e:a"), "jv")
    assert fleet.run("repair", "verify", "a", b"other bytes", LOOK, 2, 0, "audit") == ESTALE
    assert fleet.run("repair", "verify", "a", seen, LOOK, 1, 0, "audit") == OK
    assert fleet.clean() and fleet.take_one("a").lane == 1


def test_repair_of_running_and_none(fleet):
    fleet.add("a")
    job = fleet.take_one("a")
    seen = fleet.db.hget(fleet.key("e:a"), "jv")
    fleet.db.zrem(fleet.key("run:verify"), "a")
    assert fleet.audit() == {"a": (0, 1)}
    assert fleet.run("repair", "verify", "a", seen) == OK
    assert fleet.record("a").where == NONE and fleet.clean() and not fleet.db.exists(fleet.key("rt:verify"))
    assert fleet.finish(job) == -12
    assert fleet.run("repair", "issue", "a", b"", PROVISION, 2, 0, "audit") == OK
    assert fleet.take_one("a", "issue").intent == PROVISION


# --- trimming

def fill(fleet, n, stream="results"):
    """n entries an hour apart, the last now."""
    now = fleet.now()
    return [fleet.db.xadd(fleet.key(stream), {"n": i}, id=f"{now - 3600000 * (n - 1 - i)}-0").decode() for i in range(n)]


def trim(fleet, cap=10**6, keep=86400000, step=10**5, stream="results"):
    fleet.db.config_set("stream-node-max-entries", 1)
    return fleet.run("trim", stream, cap, keep, step)


@pytest.fixture(autouse=True)
def small_nodes(server):
    server.config_set("stream-node-max-entries", 1)


def test_trim_keeps_a_day(fleet):
    fill(fleet, 100)
    length, taken, lost, first = trim(fleet)[:4]
    assert (length, taken, lost) == (24, 76, 0) or (length, taken, lost) == (25, 75, 0)
    assert trim(fleet, stream="absent") == [0, 0, 0, b"", 0, -1, b""]


def test_trim_keeps_what_a_group_needs(fleet):
    ids = fill(fleet, 100)
    key = fleet.key("results")
    fleet.db.xgroup_create(key, "slow", id=ids[9])
    fleet.db.xgroup_create(key, "quick", id="$")
    assert trim(fleet)[0] == 91
    fleet.db.xreadgroup("slow", "c", {key: ">"}, count=20)
    assert trim(fleet)[0] == 90, "read, but not acknowledged"
    fleet.db.xack(key, "slow", *ids[10:15])
    assert trim(fleet)[3].decode() == ids[15]
    fleet.db.xack(key, "slow", *ids[15:30])
    assert trim(fleet)[3].decode() == ids[29]


def test_trim_at_the_cap(fleet):
    ids = fill(fleet, 100)
    key = fleet.key("results")
    fleet.db.xgroup_create(key, "dead", id="0")
    assert trim(fleet)[0] == 100
    length, taken, lost, first, in_all, ago, group = trim(fleet, cap=60)
    assert in_all == lost and 0 <= ago < 60000 and group == b"dead"
    assert (length, lost, first.decode()) == (60, 40, ids[40])
    told = fleet.db.hgetall(fleet.key("trimmed"))
    assert int(told.pop(b"results:at")) <= fleet.now()
    assert told == {b"results": b"40", b"results:first": ids[40].encode(), b"results:group": b"dead", b"cap": b"60"}
    fleet.db.xgroup_destroy(key, "dead")
    fleet.db.xgroup_create(key, "alive", id="$")
    assert trim(fleet, cap=10)[2] == 0


def test_trim_keeps_the_newest(fleet):
    ids = fill(fleet, 30)
    fleet.db.xadd(fleet.key("old"), {"n": 1}, id="5-0")
    assert trim(fleet, stream="old", keep=1000)[0] == 1, "who read it is not to see a gap when it comes back"
    assert trim(fleet, keep=0)[3].decode() == ids[-1]


def test_who_never_acknowledges_keeps_nothing_that_is_gone(fleet):
    ids = fill(fleet, 100)
    key = fleet.key("results")
    fleet.db.xgroup_create(key, "deaf", id="0")
    fleet.db.xreadgroup("deaf", "c", {key: ">"}, count=100)
    assert trim(fleet, cap=60)[2] == 40
    assert fleet.db.xpending(key, "deaf")["pending"] == 60 and fleet.db.xpending(key, "deaf")["min"].decode() == ids[40]
    assert [c["name"] for c in fleet.db.xinfo_consumers(key, "deaf")] == [b"c"]


def test_scripts_trim_what_nobody_leads(fleet):
    fill(fleet, 99)
    trim(fleet, cap=100, keep=10**12)
    for i in range(30):
        fleet.apply("refuse", "", rid=str(i), e=[["certfleet.request.refused", f"r{i}", b"\x80"]])
    assert fleet.db.xlen(fleet.key("results")) <= 111
    told = fleet.db.hgetall(fleet.key("trimmed"))
    assert int(told[b"results"]) >= 10 and told[b"results:first"] == fleet.db.xrange(fleet.key("results"), count=1)[0][0]


def test_trim_is_bounded(fleet):
    fill(fleet, 100)
    assert trim(fleet, step=10)[1] == 10
