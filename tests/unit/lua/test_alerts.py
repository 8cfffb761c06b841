"""Alerts, incidents and silences: what is said, once, and what is kept of it."""
import pytest
import redis
from conftest import EEXIST, ENOTFOUND, ETOOBIG, OK, pack, unpack

INFO, WARNING, CRITICAL = range(3)
NS = "ns:provider.example"
FORM = {"least": 5, "window": 7200000, "what": "ns:provider.example: silent",
        "data": {"condition": "dns_provider", "actor": "nobody"}}


def item(endpoint, condition="servers_silent", open=True, severity=WARNING, form=None, **data):
    data = {"condition": condition, "endpoint": endpoint, "tenant": "t1", "text": f"{endpoint} is silent", "fix": "", **data}
    return pack({"key": f"{endpoint}/{condition}", "open": open, "severity": severity, "data": data,
                 **({"form": form} if form else {})})


def tell(fleet, *items, ids=""):
    return fleet.run("alert", ids, *items)


def said(fleet):
    """(id of the alert, kind) of each event, in order."""
    return [(unpack(e["data"])[b"id"].decode(), e["type"].decode().rsplit(".", 1)[1]) for e in fleet.events("alerts")]


def last(fleet, kind=None):
    events = [e for e in fleet.events("alerts") if not kind or e["type"].decode().endswith("." + kind)]
    return {k.decode(): v for k, v in unpack(events[-1]["data"]).items()}


def field(fleet, key, name):
    return fleet.db.hget(fleet.key("alert:" + key), name)


def members(fleet, cause=NS):
    return fleet.db.zcard(fleet.key("incident:" + cause))


def leftovers(fleet):
    """Keys that hold something although nothing is open."""
    keys = {k.decode().split("}:", 1)[1] for k in fleet.dump()}
    return {k for k in keys if not k.startswith("alert:") and k not in ("alerts", "edges")}


# --- one alert

def test_opened_once_escalated_resolved(fleet):
    assert tell(fleet, item("a")) == [1, 0, 0]
    assert tell(fleet, item("a")) == [0, 0, 0]
    assert tell(fleet, item("a", severity=INFO)) == [0, 0, 0]
    assert tell(fleet, item("a", severity=CRITICAL, actor="owner")) == [0, 1, 0]
    assert last(fleet)["was"] == b"warning" and last(fleet)["severity"] == b"critical"
    assert tell(fleet, item("a", open=False)) == [0, 0, 1]
    assert tell(fleet, item("a", open=False)) == [0, 0, 0]
    assert last(fleet)["state"] == b"resolved" and last(fleet)["text"] == b"a is silent"
    assert tell(fleet, item("a")) == [1, 0, 0]
    assert said(fleet) == [("a/servers_silent#1", "opened"), ("a/servers_silent#1", "escalated"),
                           ("a/servers_silent#1", "resolved"), ("a/servers_silent#2", "opened")]


@pytest.mark.parametrize("field", ["av", "ai"])
def test_what_the_record_has_is_not_over(fleet, field):
    tell(fleet, item("a"))
    fleet.db.hset(fleet.key("e:a"), field, pack({"servers_silent": {"since": 1}}))
    assert tell(fleet, item("a", open=False)) == [0, 0, 0]
    fleet.db.hset(fleet.key("e:a"), field, pack({"nxdomain": {"since": 1}}))
    assert tell(fleet, item("a", open=False)) == [0, 0, 1]


def test_a_record_that_cannot_be_read_has_nothing(fleet):
    tell(fleet, item("a"))
    fleet.db.hset(fleet.key("e:a"), "av", b"\xc1")
    assert tell(fleet, item("a", open=False)) == [0, 0, 1]


def test_what_is_looked_at_again_opens_nothing(fleet):
    again = pack({"key": "a/servers_silent", "open": True, "severity": CRITICAL, "again": True,
                  "data": {"condition": "servers_silent", "endpoint": "a"}})
    assert tell(fleet, again) == [0, 0, 0]
    assert tell(fleet, item("a")) == [1, 0, 0]
    assert tell(fleet, again) == [0, 1, 0]
    assert tell(fleet, item("a", open=False)) == [0, 0, 1]
    assert tell(fleet, again) == [0, 0, 0]


def test_edges_are_answered_in_the_same_step(fleet):
    key = fleet.key("edges")
    fleet.db.xgroup_create(key, "alerts", mkstream=True)
    ids = [fleet.db.xadd(key, {"n": i}).decode() for i in range(3)]
    fleet.db.xreadgroup("alerts", "leader", {key: ">"})
    tell(fleet, item("a"), ids=" ".join(ids[:2]))
    assert fleet.db.xlen(key) == 1 and fleet.db.xpending(key, "alerts")["pending"] == 1


# --- incidents

def form(fleet, n=5, **more):
    return tell(fleet, *[item(f"e{i}", cause=NS, form=FORM, **more) for i in range(n)])


def test_many_with_one_cause_are_one_incident(fleet):
    assert form(fleet) == [1, 0, 0]
    assert said(fleet) == [("incident:ns:provider.example#1", "opened")]
    data = last(fleet)
    assert data["endpoints"] == 5 and data["text"] == b"5 endpoints: ns:provider.example: silent"
    assert data["members"] == [f"e{i}/servers_silent".encode() for i in range(5)]
    assert data["condition"] == b"dns_provider" and data["cause"] == NS.encode() and data["severity"] == b"warning"
    assert fleet.db.zrange(fleet.key("alerts:open"), 0, -1) == [b"incident:ns:provider.example"]


def test_what_comes_later_joins(fleet):
    form(fleet)
    for page in range(11):
        assert tell(fleet, *[item(f"p{page}-{i}", cause=NS) for i in range(60)])[0] == 0
    assert members(fleet) == 665
    kinds = [kind for _, kind in said(fleet)]
    assert kinds == ["opened", "escalated", "escalated"], "said again at ten times as many: 65 and at 665"
    assert len(last(fleet)["members"]) == 20
    assert unpack(field(fleet, "incident:" + NS, "d"))[b"endpoints"] == 665


def test_it_resolves_with_the_last_member(fleet):
    form(fleet, 5)
    for i in range(4):
        assert tell(fleet, item(f"e{i}", open=False)) == [0, 0, 0]
    assert tell(fleet, item("e4", open=False)) == [0, 0, 1]
    assert last(fleet)["state"] == b"resolved" and last(fleet)["peak"] == 5
    assert not leftovers(fleet), "members that nobody ever heard of leave nothing"
    assert [k for k in fleet.dump() if b"alert:e" in k] == []


def test_the_few_that_stay_stand_alone_again(fleet):
    form(fleet, 50)
    assert tell(fleet, *[item(f"e{i}", open=False) for i in range(46)]) == [4, 0, 1]
    assert sorted(said(fleet))[:4] == [(f"e{i}/servers_silent#1", "opened") for i in range(46, 50)]
    assert last(fleet)["text"].decode().endswith("is silent"), "with the words that they had"
    assert not members(fleet) and fleet.db.zcard(fleet.key("alerts:open")) == 4
    assert not fleet.db.exists(fleet.key("alerts:members"))
    assert tell(fleet, *[item(f"e{i}", open=False) for i in range(46, 50)]) == [0, 0, 4]
    assert not leftovers(fleet)


def test_singles_are_folded_in(fleet):
    tell(fleet, item("s0", cause=NS), item("s1", cause=NS, severity=CRITICAL))
    assert fleet.run("alert_causes", 7200000, NS)[1:] == [[0, 2]]
    assert form(fleet, 3) == [1, 0, 2]
    assert [k for k in said(fleet) if k[1] == "resolved"] == [("s0/servers_silent#1", "resolved"), ("s1/servers_silent#1", "resolved")]
    assert last(fleet)["incident"] == b"incident:ns:provider.example#1"
    assert fleet.run("alert_causes", 7200000, NS)[1:] == [[1, 0]]
    assert unpack(field(fleet, "incident:" + NS, "d"))[b"endpoints"] == 5
    assert tell(fleet, item("s0", open=False))[2] == 0 and field(fleet, "s0/servers_silent", "s") == b"resolved"
    assert tell(fleet, item("s0", cause=NS))[0] == 0 and members(fleet) == 5


def test_old_singles_stay(fleet):
    tell(fleet, item("old", cause=NS))
    fleet.db.zadd(fleet.key("alerts:cause:" + NS), {"old/servers_silent": fleet.now() - 7200001})
    assert fleet.run("alert_causes", 7200000, NS)[1:] == [[0, 0]]
    form(fleet)
    assert field(fleet, "old/servers_silent", "s") == b"open" and members(fleet) == 5
    assert tell(fleet, item("old", open=False)) == [0, 0, 1]


def test_the_gravest_member_counts(fleet):
    form(fleet)
    assert tell(fleet, item("e1", cause=NS, severity=CRITICAL, deadline=123)) == [0, 1, 0]
    assert last(fleet)["severity"] == b"critical" and last(fleet)["deadline"] == 123
    assert tell(fleet, item("e2", cause=NS, severity=CRITICAL)) == [0, 0, 0]
    other = pack({"key": "incident:" + NS, "open": True, "severity": CRITICAL, "data": {"condition": "x"}})
    assert tell(fleet, other) == [0, 0, 0]


def test_a_deadline_escalates_an_incident(fleet):
    form(fleet)
    sweep = pack({"key": "incident:" + NS, "open": True, "severity": CRITICAL, "data": {"condition": "dns_provider"}})
    assert tell(fleet, sweep) == [0, 1, 0]
    assert last(fleet)["endpoints"] == 5 and last(fleet)["severity"] == b"critical"
    assert tell(fleet, pack({"key": "incident:none", "open": True, "severity": 2, "data": {}})) == [0, 0, 0]


def test_one_endpoint_with_several_conditions_counts_once(fleet):
    tell(fleet, *[item("a", f"c{i}", cause=NS, form=FORM) for i in range(4)], item("b", cause=NS))
    assert last(fleet)["endpoints"] == 2 and last(fleet)["conditions"] == 5
    tell(fleet, *[item("a", f"c{i}", open=False) for i in range(4)])
    assert unpack(field(fleet, "incident:" + NS, "d"))[b"endpoints"] == 1


def test_opened_anew_it_is_the_next(fleet):
    form(fleet)
    tell(fleet, *[item(f"e{i}", open=False) for i in range(5)])
    form(fleet)
    assert said(fleet)[-1] == ("incident:ns:provider.example#2", "opened") and last(fleet)["endpoints"] == 5


def test_a_snapshot_names_it(fleet):
    form(fleet)
    fleet.run("alert_snapshot", "7.0", 0, 0)
    assert last(fleet, "snapshot")["open"] == [b"incident:ns:provider.example#1"]


# --- silences

def silence(fleet, pattern, field="", id="s1", seconds=3600):
    return fleet.run("alert_silence", "add", pack({
        "id": id, "field": field, "pattern": pattern, "reason": "moving", "by": "me", "till": fleet.now() + 1000 * seconds}))


def test_a_silenced_alert_says_so(fleet):
    assert silence(fleet, "a") == OK
    tell(fleet, item("a"), item("b"))
    quiet, loud = [unpack(e["data"]) for e in fleet.events("alerts")]
    assert quiet[b"silenced"] is True and quiet[b"silence"][b"reason"] == b"moving" and b"silenced" not in loud
    tell(fleet, item("a", open=False), item("b", open=False))
    quiet, loud = [unpack(e["data"]) for e in fleet.events("alerts")[2:]]
    assert quiet[b"silenced"] is True and b"silenced" not in loud, "nobody heard of the one"
    assert leftovers(fleet) == {"silences"}


def test_its_end_is_the_opening(fleet):
    silence(fleet, "servers_*")
    tell(fleet, item("a"), item("b"), item("c", "expiry"))
    tell(fleet, item("b", open=False))
    assert fleet.run("alert_silence", "lapse") == 0 and len(fleet.events("alerts")) == 4
    assert fleet.run("alert_silence", "end", "s1") == OK
    assert fleet.run("alert_silence", "lapse") == 0
    assert said(fleet)[4:] == [("a/servers_silent#1", "unsilenced")] and "silenced" not in last(fleet)
    assert not fleet.db.exists(fleet.key("silences"))
    tell(fleet, item("a", open=False))
    assert "silenced" not in last(fleet), "who heard of it hears of its end"


def test_open_alerts_are_marked_page_by_page(fleet):
    tell(fleet, *[item(f"e{i:02}") for i in range(64)])
    tell(fleet, *[item(f"f{i:02}") for i in range(10)])
    silence(fleet, "t1", "tenant")
    assert fleet.run("alert_silence", "mark", "s1", 0) == [64, 64]
    assert fleet.run("alert_silence", "mark", "s1", 64) == [10, 10]
    assert fleet.run("alert_silence", "mark", "s1", 0) == [64, 0]
    assert tell(fleet, item("e00", severity=CRITICAL)) == [0, 1, 0] and last(fleet)["silenced"] is True
    tell(fleet, item("e00", open=False))
    assert "silenced" not in last(fleet), "its opening was heard"
    fleet.run("alert_silence", "end", "s1")
    assert fleet.run("alert_silence", "lapse") == 1 and fleet.run("alert_silence", "lapse") == 0
    assert len([k for k in said(fleet) if k[1] == "unsilenced"]) == 73


def test_another_silence_takes_over(fleet):
    silence(fleet, "a", id="s1")
    tell(fleet, item("a"))
    silence(fleet, "*", id="s2")
    fleet.run("alert_silence", "end", "s1")
    fleet.run("alert_silence", "lapse")
    assert len(said(fleet)) == 1 and field(fleet, "a/servers_silent", "q") == b"s2"


def test_incidents_are_silenced_by_cause(fleet):
    silence(fleet, "ns:*", "cause")
    form(fleet)
    assert last(fleet)["silenced"] is True


@pytest.mark.parametrize("pattern,text,yes", [
    ("a", "a", 1), ("a", "b", 0), ("a", "ab", 0), ("*", "", 1), ("*", "abc", 1), ("a*c", "abbc", 1), ("a*c", "abcd", 0),
    ("?", "a", 1), ("?", "ab", 0), ("*a*b*", "xaxbx", 1), ("%a", "a", 0), ("a.c", "abc", 0), ("**", "x", 1),
    ("*" * 100 + "b", "a" * 200, 0)])
def test_patterns(fleet, pattern, text, yes):
    silence(fleet, pattern, "endpoint")
    tell(fleet, item(text) if text else pack({"key": "fleet/x", "open": True, "severity": 1, "data": {"endpoint": ""}}))
    assert ("silenced" in last(fleet)) == bool(yes)


def test_silences_are_bounded_and_named(fleet):
    assert silence(fleet, "a") == OK and silence(fleet, "a") == EEXIST
    for i in range(255):
        silence(fleet, "a", id=f"n{i}")
    assert silence(fleet, "a", id="more") == ETOOBIG
    assert fleet.run("alert_silence", "end", "none") == ENOTFOUND
    assert fleet.run("alert_silence", "mark", "none", 0) == ENOTFOUND


# --- who delivers

def test_one_sender_a_target(fleet):
    assert fleet.run("notify_lease", "a", 5000, "x", "y") == [1, 1]
    assert fleet.run("notify_lease", "b", 5000, "x", "z") == [0, 1]
    assert fleet.run("notify_lease", "b", 0, "x", "z") == [0, 0] and fleet.db.exists(fleet.key("notify:lease:x"))
    fleet.db.hset(fleet.key("notify:gone"), "x", 1)
    assert fleet.run("notify_lease", "a", 5000, "x", "z") == [2, 1]
    assert fleet.run("notify_lease", "a", 0, "x", "y", "z") == [0, 0, 0]
    assert fleet.run("notify_lease", "b", 5000, "x") == [2]


# --- refusals

BAD = [
    ("notify_lease", []), ("notify_lease", ["n", 1]), ("notify_lease", ["n", -1, "x"]), ("notify_lease", ["", 1, "x"]),
    ("notify_lease", ["n", 1, ""]), ("notify_lease", ["n", 1] + ["x"] * 65),
    ("alert", ["", b"\xc1"]), ("alert", ["", pack({"key": "a"})]), ("alert", [""] + [item("a")] * 65),
    ("alert", ["", item("a", severity=3)]), ("alert", ["", item("a", cause="")]), ("alert", ["", item("a", cause="x" * 129)]),
    ("alert", ["", item("a", cause=7)]), ("alert", ["", item("a", form={"least": 0, "window": 1, "what": "", "data": {"a": 1}})]),
    ("alert", ["", item("a", form={"least": 5})]), ("alert", ["", item("a"), b""]),
    ("alert_causes", []), ("alert_causes", ["x"]), ("alert_causes", [1, ""]), ("alert_causes", [1] + ["a"] * 65),
    ("alert_silence", []), ("alert_silence", ["other"]), ("alert_silence", ["add"]), ("alert_silence", ["add", b""]),
    ("alert_silence", ["add", pack({"id": "a"})]), ("alert_silence", ["mark", "s1"]), ("alert_silence", ["mark", "s1", -1]),
    ("alert_silence", ["lapse", 1]), ("alert_silence", ["end", ""]),
    ("alert_silence", ["add", pack({"id": "a", "field": "names", "pattern": "a", "reason": "r", "by": "b", "till": 1})]),
]


@pytest.mark.parametrize("script,argv", BAD, ids=lambda v: v if isinstance(v, str) else repr(v)[:60])
def test_bad_arguments(fleet, script, argv):
    silence(fleet, "zzz")
    tell(fleet, item("a", cause=NS))
    before = fleet.dump()
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL"):
        fleet.run(script, *argv)
    assert fleet.dump() == before


@pytest.mark.parametrize("key", ["alerts", "edges", "alerts:open", "alerts:members", "trimmed", "silences", "alert:a/servers_silent",
                                 "alerts:cause:" + NS, "incident:" + NS, f"incident:{NS}:n", "alert:incident:" + NS])
def test_wrong_type(fleet, key):
    fleet.db.lpush(fleet.key(key), "no such thing")
    before = fleet.dump()
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL not a"):
        tell(fleet, item("b"), item("a", cause=NS, form=FORM))
    assert fleet.dump() == before


def test_a_damaged_member_stops_nobody(fleet):
    form(fleet, 50)
    fleet.db.delete(fleet.key("alert:e48/servers_silent"), fleet.key("alert:e49/servers_silent"))
    fleet.db.lpush(fleet.key("alert:e49/servers_silent"), "no such thing")
    fleet.db.hset(fleet.key("alert:e47/servers_silent"), "d", b"\xc1")
    assert tell(fleet, *[item(f"e{i}", open=False) for i in range(46)])[2] == 1
    assert {k for k, kind in said(fleet) if kind == "opened"} >= {"e46/servers_silent#1", "e47/servers_silent#1"}


def test_alerts_at_maxmemory(fleet):
    for name, text in fleet.texts.items():
        fleet.shas[name] = fleet.db.script_load(text)
    fleet.db.config_set("maxmemory", 1)
    try:
        assert form(fleet) == [1, 0, 0] and fleet.run("alert_silence", "lapse") == 0
    finally:
        fleet.db.config_set("maxmemory", 0)
