"""What a script refuses it refuses as a whole: an error that says why, and not one byte written."""
import pytest
import redis
from conftest import EINVAL, LEASE, LOOK, OK, PROVISION, REMOVE, RENEW, pack

NONCE = "0123456789abcdef"
TAKE = ["verify", "w1", NONCE, 10, LEASE, 100, 0, 1]
PLAN = [LOOK, 2, 0, "why"]
ITEM = {"i": "a", "k": "token", "g": 1, "w": 1}
REQUEST = {"src": "s", "rid": "r", "op": "update", "i": "a", "ans": b""}


def but(items, **changes):
    return {k: v for k, v in {**items, **changes}.items() if v is not None}


def args(base, index, value):
    return base[:index] + [value] + base[index + 1:]


BAD_ARGS = [
    *[("take", args(TAKE, i, bad)) for i, bad in [
        (0, "other"), (1, ""), (1, "x" * 65), (1, "a\nb"), (2, "short"), (3, "x"), (3, -1), (3, 65), (3, 1.5), (3, "nan"),
        (4, 0), (5, "inf"), (6, -1), (7, 17)]],
    ("take", TAKE[:7]), ("take", TAKE + [1]), ("take", []),
    ("beat", ["verify"]), ("beat", ["verify", LEASE, "a"]), ("beat", ["verify", "x", "a", "t"]),
    ("beat", ["verify", LEASE] + ["a", "t"] * 65), ("beat", ["none", LEASE, "a", "t"]),
    ("checkpoint", ["verify"]), ("checkpoint", ["verify", "a", "t"]), ("checkpoint", ["verify"] + ["a", "t", "b"] * 65),
    ("release", ["verify", "a", "t", 0]), ("release", ["verify", "a", "t", "soon", ""]),
    ("release", ["verify", "a", "t", 0, "w" * 65]), ("release", ["verify"] + ["a", "t", 0, ""] * 65),
    ("ask", ["verify", "a", LOOK, 2, 0, "why"]), ("ask", ["verify", "a", LOOK, 4, 0, "why", 0]),
    ("ask", ["verify", "a", -1, 2, 0, "why", 0]), ("ask", ["verify", "a", LOOK, 2, -5, "why", 0]),
    ("ask", ["verify", "a", LOOK, 2, 0, "w" * 65, 0]), ("ask", ["verify", "a", LOOK, 2, 0, "why", "yes"]),
    ("reap", []), ("reap", ["none"]), ("reap", ["verify", 1]), ("reap", ["verify", "x", 1]),
    ("publish", ["txt", "l", "v"]), ("publish", ["alpn", "l", "v", 60]), ("publish", ["txt", "l", "", 60]),
    ("publish", ["http", "t", "v", 0]), ("alive", ["w", 1, 60]), ("alive", ["w", 1, 60, "f"]), ("alive", ["", 1, 60, "f", "v"]),
    ("alive", ["w", 1, 60] + ["f", "v"] * 65),
    ("zone_ask", ["z", "b"]), ("zone_ask", ["", "b", 1]), ("zone_ask", ["z" * 33, "b", 1]), ("zone_ask", ["z", "b", -1]),
    ("zone_ask", ["z", "b" * 131073, 1]), ("zone_take", ["z", "w", 1]), ("zone_take", ["z", "", 1, 1]),
    ("zone_take", ["z", "w", 65, 1]), ("zone_take", ["z", "w", 1, 0]),
    ("leader", []), ("leader", ["steal", "n", 0, 1]), ("leader", ["hold", "", 0, 1]), ("leader", ["hold", "n", -1, 1]),
    ("leader", ["hold", "n", 0, 0]),
    ("claim", ["verify", "a", "t"]), ("claim", ["verify", "a", "t", "n", 1]), ("claim", ["verify", "a", "t", "", 1, 1]),
    ("claim", ["verify", "a", "t", "n", 2, 0]), ("claim", ["verify", "a", "t"] + ["n", 1, 0] * 101),
    ("authz_forget", ["verify", "a", "t", "n"]), ("authz_forget", ["verify", "a", "t", "", "u"]),
    ("audit", []), ("audit", ["", 0]), ("audit", ["", 65]), ("audit", ["x" * 65, 1]),
    ("repair", ["verify", "a"]), ("repair", ["verify", "a", "", 1]), ("repair", ["verify", "", ""]),
    ("repair", ["verify", "a", "", 0, 7, 0, "why"]),
    ("trim", []), ("trim", ["results", 0, 0, 1]), ("trim", ["results", 1, -1, 1]), ("trim", ["", 1, 1, 1]),
    ("cancel", ["verify"]), ("cancel", ["verify", "a", "b"]), ("cancel", ["verify", ""]), ("unlock", ["x"]), ("unlock", ["", "x"]),
    ("alert", []), ("alert", ["1-x"]), ("alert", ["", b"\xc1"]), ("alert_snapshot", ["name", 0]), ("alert_snapshot", ["", 0, 0]),
    ("answer", ["s", "r"]), ("answer", ["s", "r", "1"]), ("fleet", []), ("fleet", [0]),
    ("finish", ["verify"]), ("apply", []), ("apply", [pack(REQUEST), pack(REQUEST)]),
    *[("finish", ["verify", bad]) for bad in [
        b"", b"\xc1", b"\x81\xa1i", pack("text"), pack(7), b"\xdd\xff\xff\xff\xff", b"\xc4\x01a",
        *[pack(but(ITEM, **more)) for more in [
            {"i": None}, {"i": 7}, {"i": ""}, {"k": None}, {"g": None}, {"g": "1"}, {"g": 1.5}, {"w": None},
            {"s": ["x", b""]}, {"s": ["v", 7]}, {"s": ["v"]}, {"s": ["jv", b""]}, {"s": ["c", b""]}, {"s": 7},
            {"n": []}, {"n": [LOOK, 4, 0, ""]}, {"n": [LOOK, 2, -1, ""]}, {"n": [LOOK, 2, 0]}, {"n": "now"},
            {"o": [LOOK, 2, 0, "w" * 65]}, {"p": ""}, {"p": 7}, {"e": "x"}, {"e": [["t", "i"]]}, {"e": [[7, "i", b""]]},
            {"t": [7]}, {"t": [b"x" * 4097]}, {"t": "x"}, {"x": "soon"}, {"x": 0.5}, {"c": ["sha"]}, {"c": [7, b""]},
            {"a": [["n", "ca", "u"]]}, {"a": ["n"]}, {"a": [["n", "ca", "u", "never"]]}, {"d": [7]}, {"d": [""]},
            {"w": -1}, {"g": -1}, {"x": -2}, {"x": 1e17}, {"s": ["v", b""] * 9}, {"t": [b""] * 41}, {"d": ["n"] * 301},
            {"a": [["n", "ca", "u", 1]] * 201}, {"e": [["t", "i", b""]] * 257}, {"st": ""}, {"r": 7}, {"z": 1}]]]],
    *[("apply", [bad]) for bad in [
        b"", b"\xc1", pack([]), *[pack(but(REQUEST, **more)) for more in [
            {"src": None}, {"src": ""}, {"rid": 7}, {"op": None}, {"op": "steal"}, {"i": None}, {"i": ""}, {"i": "x" * 65},
            {"ans": None}, {"sid": "x"}, {"sid": "1-x"}, {"sid": "9" * 20 + "-0"}, {"t": b"x" * 4097}, {"op": "add"}, {"op": "add", "c": b""}, {"x": "1"}, {"n": ""},
            {"na": [7]}, {"na": ["a"] * 101}, {"nd": [""]}, {"nd": "a"}, {"v": [LOOK]}, {"j": "now"}, {"t": 7},
            {"e": [[]]}, {"ng": 1}]]]],
]


@pytest.mark.parametrize("script,argv", BAD_ARGS, ids=lambda v: v if isinstance(v, str) else repr(v)[:60])
def test_bad_arguments(fleet, script, argv):
    fleet.add("a", names=["a.example"], issue=True)
    fleet.take(n=1)
    before = fleet.dump()
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL"):
        fleet.run(script, *argv)
    assert fleet.dump() == before


@pytest.mark.parametrize("script", ["take", "finish", "apply", "reap", "audit"])
@pytest.mark.parametrize("prefix", ["cf:x:", "cf:{}:", "cf:{a}", "cf:{a}:b", "", "xcf:{a}:"])
def test_bad_prefix(fleet, script, prefix):
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL"):
        fleet.db.eval(fleet.texts[script], 1, prefix, "verify")
    with pytest.raises(redis.ResponseError):
        fleet.db.eval(fleet.texts[script], 0, "verify")


def calls(fleet, job, other):
    """Every script once, as it would be called: those that write."""
    return {
        "take": TAKE[:2] + ["f" * 16] + TAKE[3:],
        "beat": ["verify", LEASE, job.id, job.token],
        "checkpoint": ["verify", job.id, job.token, b"x"],
        "release": ["verify", job.id, job.token, 0, "why"],
        "ask": ["verify", other, LOOK, 0, 0, "why", 1],
        "reap": ["verify"],
        "leader": ["hold", "n", 0, 1000],
        "claim": ["verify", job.id, job.token, "a.example", 1, 1],
        "authz_forget": ["verify", job.id, job.token, "a.example", "url"],
        "repair": ["verify", other, fleet.db.hget(fleet.key("e:" + other), "jv") or b"", LOOK, 2, 0, "why"],
        "trim": ["results", 1, 0, 100],
        "finish": ["verify", pack(fleet.finish_item(job, n=PLAN, o=[PROVISION, 1, 0, ""], s=["v", b"v"], x=5, st="active",
                                                   t=[b"t"], d=["a.example"], e=[["t", "i", b"", 0]]))],
        "apply": [pack({"src": "s", "rid": "r", "op": "update", "i": other, "ans": b"", "sid": "1-1", "na": ["b.example"],
                        "nd": ["a.example"], "v": PLAN, "j": PLAN, "e": [["t", "i", b""]]})],
    }


STRUCTURE = {
    "run:verify": ["take", "beat", "release", "ask", "reap", "repair", "finish", "apply"],
    "parked:verify": ["reap", "repair", "finish", "apply", "ask"],
    "vt:verify": ["take", "release", "finish", "reap"],
    "rt:verify": ["take", "release", "finish", "reap"],
    "wake:verify:2": ["take", "release", "ask", "reap", "repair", "finish", "apply"],
    "ready:verify:0": ["take", "release", "ask", "reap", "repair", "finish", "apply"],
    "last:w1:verify": ["take"],
    "endpoints": ["finish", "apply", "repair"],
    "expiry": ["finish", "apply", "repair"],
    "results": ["finish", "apply", "reap", "trim", "claim"],
    "edges": ["finish", "apply", "reap"],
    "changes": ["finish", "apply", "reap"],
    "requests": ["apply"],
    "trimmed": ["finish", "trim"],
    "leader": ["leader"],
    "run:issue": ["finish", "apply"],
    "req:s:r": ["apply"],
}


@pytest.mark.parametrize("key,script", [(k, s) for k, scripts in STRUCTURE.items() for s in scripts])
def test_wrong_type_of_a_shared_key(fleet, key, script):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    fleet.add("b")
    call = calls(fleet, job, "b")[script]
    fleet.db.delete(fleet.key(key))
    fleet.db.lpush(fleet.key(key), "no such thing")
    before = fleet.dump()
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL not a .*" + key.split(":")[0]):
        fleet.run(script, *call)
    assert fleet.dump() == before


@pytest.mark.parametrize("script", ["beat", "checkpoint", "release", "ask", "claim", "authz_forget", "finish", "apply", "repair"])
def test_wrong_type_of_the_endpoint(fleet, script):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    call = calls(fleet, job, "a")[script]
    fleet.db.delete(fleet.key("e:a"))
    fleet.db.lpush(fleet.key("e:a"), "no such thing")
    before = fleet.dump()
    reply = fleet.run(script, *call)
    assert EINVAL == (reply[0] if isinstance(reply, list) else reply)
    assert fleet.dump() == before


@pytest.mark.parametrize("script", ["finish", "release", "ask", "apply", "repair", "reap"])
def test_wrong_type_of_a_due_set(fleet, script):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    fleet.add("b")
    call = calls(fleet, job, "b")[script]
    if script == "reap":
        fleet.lapse("a")
    for lane in range(4):
        fleet.db.delete(fleet.key(f"due:verify:{lane}:t1"))
        fleet.db.lpush(fleet.key(f"due:verify:{lane}:t1"), "no such thing")
    before = fleet.dump()
    reply = fleet.run(script, *call)
    if script == "reap":
        assert reply == [1, 0, 0] and fleet.record("a").token == job.token and fleet.record("a").due > fleet.now()
        return
    assert EINVAL == (reply[0] if isinstance(reply, list) else reply)
    assert fleet.dump() == before


def test_reap_passes_over_what_is_broken(fleet):
    """More of a broken tenant than one reap looks at do not keep the others from theirs."""
    for i in range(70):
        fleet.add(f"bad{i:02}", tenant="bad")
    fleet.add("good", tenant="good")
    fleet.take()
    fleet.take()
    fleet.db.lpush(fleet.key("due:verify:3:bad"), "no such thing")
    for i in range(70):
        fleet.lapse(f"bad{i:02}")
    fleet.lapse("good")
    assert [fleet.run("reap", "verify")[:2] for _ in range(2)] == [[64, 0], [7, 1]]
    assert fleet.take(suspects=1)[0].id == "good"


def test_take_passes_over_what_is_broken(fleet):
    for id in "abcde":
        fleet.add(id, tenant="good")
    fleet.add("f", tenant="bad")
    fleet.db.delete(fleet.key("due:verify:2:bad"))
    fleet.db.lpush(fleet.key("due:verify:2:bad"), "no such thing")
    fleet.db.delete(fleet.key("e:a"))
    fleet.db.delete(fleet.key("e:b"))
    fleet.db.lpush(fleet.key("e:b"), "no such thing")
    fleet.db.hset(fleet.key("e:c"), "jv", b"\xc1 not msgpack")
    fleet.db.hset(fleet.key("e:d"), "jv", pack(["an", "odd", "record"]))
    assert [j.id for j in fleet.take()] == ["e"]
    assert fleet.take() == [] and not fleet.db.exists(fleet.key("due:verify:2:good"))


@pytest.mark.parametrize("field", ["jv", "d", "t"])
def test_bad_msgpack_in_a_field(fleet, field):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    fleet.db.hset(fleet.key("e:a"), field, b"\xc1")
    lost = field == "jv"
    assert fleet.finish(job, t=[b"entry"], d=["a.example"]) == (-12 if lost else OK)
    assert fleet.audit()["a"][0] == (0 if lost else 1)
    assert fleet.run("reap", "verify")[0] in (0, 1)
    if lost:
        assert fleet.run("repair", "verify", "a", b"\xc1", LOOK, 2, 0, "audit") == OK
        assert fleet.clean() and len(fleet.take()) == 1


def test_bad_msgpack_under_a_name(fleet):
    fleet.add("a", names=["a.example"])
    bucket = next(fleet.db.scan_iter(match="*dom:*"))
    fleet.db.hset(bucket, "a.example", b"\xc1")
    job = fleet.take_one("a")
    assert fleet.run("claim", "verify", "a", job.token, "a.example", 1, 0) == [OK, [0, []]]


def test_wrong_type_of_a_bucket(fleet):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    bucket = next(fleet.db.scan_iter(match="*dom:*"))
    fleet.db.delete(bucket)
    fleet.db.lpush(bucket, "no such thing")
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL not a hash"):
        fleet.run("claim", "verify", "a", job.token, "a.example", 1, 0)
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL not a hash"):
        fleet.run("authz_forget", "verify", "a", job.token, "a.example", "u")
    assert fleet.apply("add", "b", na=["a.example"])[0] == EINVAL
    assert fleet.finish(job, d=["a.example"], a=[["a.example", "ca", "u", 9e12]]) == OK


@pytest.fixture
def full(fleet):
    """Redis at maxmemory, with one job that runs and one that is due."""
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    fleet.add("b")
    for name, text in fleet.texts.items():
        fleet.shas[name] = fleet.db.script_load(text)
    calls_now = calls(fleet, job, "b")
    fleet.db.config_set("maxmemory", 1)
    yield fleet, calls_now
    fleet.db.config_set("maxmemory", 0)


@pytest.mark.parametrize("script", ["take", "ask", "claim", "apply"])
def test_new_work_is_refused_at_maxmemory(full, script):
    fleet, calls_now = full
    before = fleet.dump()
    with pytest.raises(redis.ResponseError, match="OOM|used memory"):
        fleet.run(script, *calls_now[script])
    assert fleet.dump() == before


@pytest.mark.parametrize("script", ["beat", "checkpoint", "release", "reap", "finish", "leader", "repair", "trim",
                                    "authz_forget"])
def test_work_ends_at_maxmemory(full, script):
    fleet, calls_now = full
    reply = fleet.run(script, *calls_now[script])
    assert reply in (OK, [OK], [0, 0, 0]) or script in ("leader", "trim")


def test_removal_at_maxmemory(full):
    fleet, calls_now = full
    job = calls_now["beat"]
    assert fleet.run("finish", "verify", pack({"i": "a", "k": job[3], "g": 1, "w": 1, "z": True, "d": ["a.example"]})) == [OK]
    assert not fleet.db.exists(fleet.key("e:a"))
