"""What the audit's scripts see and put right beyond the slices: strays, counts, ends of certificates, claims."""
import pytest
import redis
from conftest import DUE, EGONE, EINVAL, ESTALE, LOOK, OK, PROVISION, RUNNING, pack, unpack

FAR = 4102444800000


def strays(fleet, repair=1):
    cursor, seen, calls = b"", [], 0
    while True:
        cursor, *found = fleet.run("strays", cursor, repair)
        seen += [(index.decode(), member.decode()) for index, member in found]
        calls += 1
        assert calls < 1000
        if not cursor:
            return seen


def config(*names):
    return pack({"n": list(names)})


STRAYS = {
    "run:verify": lambda f: f.db.zadd(f.key("run:verify"), {"nobody": FAR}),
    "run:issue": lambda f: f.db.zadd(f.key("run:issue"), {"nobody": 1}),
    "parked:verify": lambda f: f.db.zadd(f.key("parked:verify"), {"nobody": 1}),
    "parked:issue": lambda f: f.db.zadd(f.key("parked:issue"), {"nobody": 1}),
    "expiry": lambda f: f.db.zadd(f.key("expiry"), {"nobody": FAR}),
    "due:verify:2:t1": lambda f: f.db.zadd(f.key("due:verify:2:t1"), {"nobody": 1}),
    "due:issue:0:t9": lambda f: (f.db.zadd(f.key("due:issue:0:t9"), {"a": 1}), f.db.zadd(f.key("ready:issue:0"), {"t9": 0})),
    "endpoints": lambda f: f.db.zrem(f.key("endpoints"), "a"),
    "dom:a.example": lambda f: f.db.hset(bucket(f), "a.example", pack(["", "", [["t1", "a", 1], ["t9", "nobody", 1]], []])),
}


def bucket(fleet):
    return next(fleet.db.scan_iter(match="*dom:*"))


@pytest.mark.parametrize("index", STRAYS)
def test_a_stray_is_seen_and_put_right(fleet, index):
    fleet.add("a", names=["a.example"])
    assert strays(fleet) == []
    sound = fleet.dump()
    STRAYS[index](fleet)
    before = fleet.dump()
    seen = strays(fleet, 0)
    assert index in [i for i, _ in seen] and fleet.dump() == before, "without repair nothing is written"
    assert set(strays(fleet, 1)) == set(seen)
    assert strays(fleet) == [] and fleet.clean() and fleet.dump() == sound


def test_who_waits_with_nothing_due_leaves(fleet):
    fleet.add("a", names=["a.example"])
    sound = fleet.dump()
    fleet.db.zadd(fleet.key("wake:issue:1"), {"t1": 1})
    fleet.db.zadd(fleet.key("ready:verify:3"), {"ghost": 1})
    assert strays(fleet, 0) == [], "this is no fault: it happens when a job leaves"
    assert strays(fleet) == [] and fleet.dump() == sound


def test_strays_in_every_page(fleet):
    for i in range(150):
        fleet.add(f"e{i:03}", tenant=f"t{i % 3}", names=[f"{i}.example"])
        fleet.db.zadd(fleet.key("run:verify"), {f"x{i}": i})
        fleet.db.zadd(fleet.key(f"due:verify:2:t{i % 3}"), {f"y{i}": i})
        fleet.db.hset(fleet.key("dom:fff"), f"z{i}.example", pack(["", "", [["t", f"z{i}", 1]], []]))
    seen = strays(fleet)
    assert len(seen) == len(set(seen)) == 450
    assert strays(fleet) == [] and fleet.clean() and not fleet.db.exists(fleet.key("dom:fff"), fleet.key("run:verify"))


def test_a_hold_passes_on_from_whom_it_left(fleet):
    fleet.add("a", tenant="t1", names=["a.example"], verify=False)
    fleet.add("b", tenant="t2", names=["a.example"], verify=False)
    fleet.db.hset(bucket(fleet), "a.example", pack(["t1", "gone", [["t1", "a", 1], ["t2", "b", 1]], []]))
    assert strays(fleet) == [("dom:a.example", "held by gone")]
    assert unpack(fleet.db.hget(bucket(fleet), "a.example"))[:2] == [b"t1", b"a"]
    fleet.db.hset(bucket(fleet), "a.example", pack(["t9", "gone", [["t1", "a", 1], ["t2", "b", 1]], []]))
    strays(fleet)
    assert unpack(fleet.db.hget(bucket(fleet), "a.example"))[:2] == [b"", b""]
    assert [fleet.record(id).why for id in "ab"] == ["claim_free"] * 2 and fleet.clean()


def test_expired_authorizations_go_with_their_name(fleet):
    fleet.db.hset(fleet.key("dom:123"), "old.example", pack(["", "", [], [["ca", "url", 1, "a", "t1"]]]))
    assert strays(fleet, 0) == [] and fleet.db.exists(fleet.key("dom:123"))
    assert strays(fleet, 1) == [] and not fleet.db.exists(fleet.key("dom:123"))


def test_the_living_stay(fleet):
    for i in range(70):
        fleet.add(f"e{i}", tenant=f"t{i % 5}", names=[f"{i}.example"], issue=True)
    fleet.take(n=30)
    fleet.take("issue", n=20)
    before = fleet.dump()
    assert strays(fleet) == [] and fleet.run("recount", "verify", 1) == [30] and fleet.run("recount", "issue", 1) == [20]
    assert fleet.dump() == before


def test_recount(fleet):
    for i in range(5):
        fleet.add(f"e{i}", tenant=f"t{i}")
    fleet.take(n=4)
    right = fleet.db.hgetall(fleet.key("rt:verify"))
    fleet.db.hset(fleet.key("rt:verify"), mapping={"t1": 7, "ghost": 3, "t2": "rubbish", "t9": "rubbish"})
    fleet.db.hdel(fleet.key("rt:verify"), "t3")
    assert fleet.run("recount", "verify", 0)[0] == 4
    assert sorted(fleet.run("recount", "verify", 1)[1:]) == [b"ghost", b"t1", b"t2", b"t3", b"t9"]
    assert fleet.run("recount", "verify", 1) == [4] and fleet.db.hgetall(fleet.key("rt:verify")) == right


def test_recount_is_bounded(fleet):
    fleet.db.zadd(fleet.key("run:verify"), {f"e{i}": FAR for i in range(2049)})
    assert fleet.run("recount", "verify", 1) == [-1]


def test_end_of_a_certificate(fleet):
    fleet.add("a")
    fleet.db.hset(fleet.key("e:a"), "x", b"certificate")
    assert fleet.run("audit", "", 64)[1][13] == -1
    assert fleet.run("reindex", "a", b"another", 5) == ESTALE and fleet.run("reindex", "b", b"", 5) == EGONE
    assert fleet.run("reindex", "a", b"certificate", 5) == OK
    assert fleet.run("audit", "", 64)[1][13] == 5
    assert fleet.run("reindex", "a", b"certificate", -1) == OK and not fleet.db.exists(fleet.key("expiry"))


def test_claims_come_back(fleet):
    fleet.apply("add", "a", c=config("a.example", "*.a.example"), na=["a.example", "*.a.example"])
    fleet.apply("add", "b", c=config("b.example"), na=["b.example"])
    claimed = {k: fleet.db.hgetall(k) for k in fleet.db.scan_iter(match="*dom:*")}
    assert [row[12] for row in fleet.run("audit", "", 64)[1:]] == [1, 1]
    for key in claimed:
        fleet.db.delete(key)
    assert [row[12] for row in fleet.run("audit", "", 64)[1:]] == [0, 0]
    assert fleet.run("reindex", "a", b"", -1) == OK and fleet.run("reindex", "b", b"", -1) == OK
    assert {k: fleet.db.hgetall(k) for k in fleet.db.scan_iter(match="*dom:*")} == claimed
    assert [row[12] for row in fleet.run("audit", "", 64)[1:]] == [1, 1]


KEEP = {
    "not in run": lambda f: f.db.zrem(f.key("run:verify"), "a"),
    "lease elsewhere": lambda f: f.db.zadd(f.key("run:verify"), {"a": FAR}),
    "due as well": lambda f: f.db.zadd(f.key("due:verify:2:t1"), {"a": 1}),
    "due in another lane": lambda f: f.db.zadd(f.key("due:verify:0:t1"), {"a": 1}),
    "parked as well": lambda f: f.db.zadd(f.key("parked:verify"), {"a": 1}),
}

def test_a_slice_ends_early_where_names_have_many_claims(fleet):
    """40 endpoints of as many tenants claim the same ten names: 400 claims to read for each endpoint."""
    names = [f"n{i}.example" for i in range(10)]
    for i in range(40):
        fleet.add(f"e{i:02}", tenant=f"t{i}")
        assert fleet.apply("update", f"e{i:02}", c=config(*names), na=names)[0] == OK
    after, slices = b"", []
    while after or not slices:
        after, *rows = fleet.run("audit", after, 64)
        assert all(row[12] == 1 for row in rows) and after in (rows[-1][0], b"")
        slices.append([row[0].decode() for row in rows])
    assert sum(slices, []) == [f"e{i:02}" for i in range(40)] and {len(s) for s in slices[:-1]} == {6}


@pytest.mark.parametrize("damage", KEEP)
def test_what_runs_goes_on_running(fleet, damage):
    fleet.add("a")
    job = fleet.take_one("a")
    seen = fleet.db.hget(fleet.key("e:a"), "jv")
    KEEP[damage](fleet)
    assert fleet.audit() == {"a": (0, 1)}
    assert fleet.run("repair", "verify", "a", seen, LOOK, 2, 0, "audit", "keep") == OK
    assert fleet.clean() and fleet.record("a").where == RUNNING and fleet.record("a").token == job.token
    assert fleet.run("recount", "verify", 0) == [1] and fleet.finish(job) == OK and fleet.clean()


@pytest.mark.parametrize("damage", ["due:verify:2:t1", "wake:verify:2", "due:verify:1:t1"])
def test_what_is_due_stays_due(fleet, damage):
    fleet.add("a", due=FAR)
    seen = fleet.db.hget(fleet.key("e:a"), "jv")
    fleet.db.delete(fleet.key(damage))
    if damage == "due:verify:1:t1":
        fleet.db.zadd(fleet.key(damage), {"a": 1})
    assert not fleet.clean()
    assert fleet.run("repair", "verify", "a", seen, "keep") == OK
    assert fleet.clean() and fleet.record("a").where == DUE and fleet.record("a").due == FAR


def test_keep_cannot_keep_what_cannot_be_read(fleet):
    fleet.add("a")
    fleet.db.hset(fleet.key("e:a"), "jv", b"\xc1")
    assert fleet.run("repair", "verify", "a", b"\xc1", PROVISION, 1, 0, "audit", "keep") == OK
    assert fleet.record("a").where == DUE and fleet.record("a").lane == 1 and fleet.clean()


@pytest.mark.parametrize("script,argv", [
    ("strays", []), ("strays", [""]), ("strays", ["", 2]), ("strays", ["x", 1]), ("strays", ["1 2", 1]), ("strays", ["1 -2 3", 1]),
    ("strays", ["1" * 500, 1]), ("recount", []), ("recount", ["look", 1]), ("recount", ["verify", 2]), ("reindex", ["a", ""]),
    ("reindex", ["", "", 1]), ("reindex", ["a", "", -2]), ("repair", ["verify", "a", "", LOOK, 2, 0, "why", "kept"])])
def test_bad_arguments(fleet, script, argv):
    fleet.add("a", names=["a.example"])
    before = fleet.dump()
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL"):
        fleet.run(script, *argv)
    assert fleet.dump() == before


def test_wrong_types_are_passed_over_or_refused(fleet):
    fleet.add("a", names=["a.example"])
    fleet.db.delete(fleet.key("e:a"))
    fleet.db.lpush(fleet.key("e:a"), "no such thing")
    fleet.db.lpush(fleet.key("dom:abc"), "no such thing")
    fleet.db.lpush(fleet.key("due:verify:0:t1"), "no such thing")
    fleet.db.zadd(fleet.key("ready:verify:0"), {"t1": 0})
    before = fleet.dump()
    assert strays(fleet) == [] and fleet.run("reindex", "a", b"", -1) == EINVAL and fleet.dump() == before
    fleet.db.delete(fleet.key("expiry"))
    fleet.db.lpush(fleet.key("expiry"), "no such thing")
    for script, argv in (("strays", ["", 1]), ("reindex", ["a", "", 1])):
        with pytest.raises(redis.ResponseError, match="CFERR EINVAL not a zset"):
            fleet.run(script, *argv)
