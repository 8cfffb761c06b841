"""A job's life: apply, take, beat, checkpoint, finish, release, ask, and what each refuses."""
import re
import time

import pytest
import redis
from conftest import (DUE, EGONE, ELOST, LEASE, LOOK, NONE, OK, PARKED, PROVISION, REMOVE, RENEW, RUNNING, pack,
                      unpack)


def test_first_life(fleet):
    fleet.add("a", names=["a.example"], issue=True)
    r = fleet.record("a")
    assert (r.where, r.lane, r.intent, r.want, r.have) == (DUE, 2, LOOK, 1, 0)
    job = fleet.take_one("a")
    assert len(job.token) == 32 and job.attempt == 1 and job.c == b"config" and job.g == b"1"
    r = fleet.record("a")
    assert (r.where, r.token, r.worker, r.lease) == (RUNNING, job.token, "w1", LEASE)
    assert unpack(job.jv) == unpack(fleet.db.hget(fleet.key("e:a"), "jv"))
    assert fleet.clean()
    assert fleet.take() == []
    due = fleet.now() + 3600000
    assert fleet.finish(job, s=["v", b"verdict", "av", b"open"], n=[LOOK, 2, due, "look"], st="waiting_dns",
                        r="record_missing", t=[b"looked"], e=[["certfleet.dns.changed", "e1", b"\x80"]]) == OK
    r = fleet.record("a")
    assert (r.where, r.due, r.attempt, r.have, r.last) == (DUE, due, 0, 1, job.token)
    assert fleet.db.hget(fleet.key("e:a"), "v") == b"verdict"
    assert unpack(fleet.db.hget(fleet.key("e:a"), "t")) == [b"looked"]
    types = [e["type"] for e in fleet.events()]
    assert types == [b"certfleet.dns.changed", b"certfleet.endpoint.state"]
    assert unpack(fleet.events()[1]["data"])[b"state"] == b"waiting_dns"
    assert fleet.clean()
    assert [j.id for j in fleet.take("issue")] == ["a"]


def test_event_attributes(fleet):
    fleet.add()
    fleet.finish(fleet.take_one("a"), e=[["certfleet.dns.changed", "e1", b"\x80"], ["cname_typo", "e2", b"\x80", 1]])
    e = fleet.events()[0]
    fleet_name = fleet.p[4:-2].encode()
    assert (e["id"], e["source"], e["subject"]) == (b"e1", fleet_name, b"a")
    assert (e["specversion"], e["datacontenttype"]) == (b"1.0", b"application/msgpack")
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"])
    assert e["time"][:10].decode() == time.strftime("%Y-%m-%d", time.gmtime(fleet.now() / 1000))
    assert [x["type"] for x in fleet.events("edges")] == [b"cname_typo"]


@pytest.mark.parametrize("ms", [0, 951782400000, 1709164799999, 4107542399000, 1700000000123, 68169600000])
def test_civil_dates(fleet, ms):
    text = fleet.texts["ask"]
    helper = text[text.index("local function rfc3339"):text.index("local stamp")]
    got = fleet.db.eval(helper + "return rfc3339(tonumber(ARGV[1]))", 0, ms).decode()
    assert got == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + ".%03dZ" % (ms % 1000)


def test_nonce_repeated(fleet):
    for i in range(5):
        fleet.add(f"e{i}")
    first = fleet.take(n=3, nonce="n" * 32)
    again = fleet.take(n=3, nonce="n" * 32)
    assert [(j.id, j.token) for j in first] == [(j.id, j.token) for j in again] and len(first) == 3
    assert again[0].attempt == 1
    fleet.finish(first[0])
    assert [j.id for j in fleet.take(n=3, nonce="n" * 32)] == [j.id for j in first[1:]]
    assert len(fleet.take(nonce="m" * 32)) == 2 and fleet.clean()
    assert fleet.db.pttl(fleet.key("last:w1:verify")) > 0


def test_finish_again_is_done(fleet):
    fleet.add()
    job = fleet.take_one("a")
    assert fleet.finish(job, e=[["x", "1", b"\x80"]]) == OK
    assert fleet.finish(job, e=[["x", "1", b"\x80"]]) == OK
    assert len(fleet.events()) == 1
    assert fleet.record("a").where == NONE and fleet.clean()


def test_stale_token(fleet):
    fleet.add()
    job = fleet.take_one("a")
    fleet.lapse("a")
    assert fleet.run("reap", "verify") == [1, 1, 0]
    before = fleet.dump()
    assert fleet.finish(job, s=["v", b"old"]) == ELOST
    assert fleet.run("beat", "verify", LEASE, "a", job.token) == [ELOST]
    assert fleet.run("checkpoint", "verify", "a", job.token, "x") == [ELOST]
    assert fleet.run("release", "verify", "a", job.token, 0, "drain") == [ELOST]
    assert fleet.run("authz_forget", "verify", "a", job.token, "a.example", "u") == ELOST
    assert fleet.run("claim", "verify", "a", job.token, "a.example", 1, 1) == [ELOST]
    assert fleet.dump() == before
    new = fleet.take_one("a")
    assert new.token != job.token and new.attempt == 2 and fleet.finish(job) == ELOST
    assert fleet.finish(new) == OK and fleet.finish(job) == ELOST


def test_lapsed_but_not_reaped_may_finish(fleet):
    fleet.add()
    job = fleet.take_one("a")
    fleet.lapse("a")
    assert fleet.finish(job) == OK and fleet.clean()


def test_gone(fleet):
    fleet.add("a", names=["a.example"])
    job = fleet.take_one("a")
    fleet.db.delete(fleet.key("e:a"))
    assert fleet.finish(job) == EGONE
    assert fleet.run("beat", "verify", LEASE, "a", job.token) == [EGONE]
    assert fleet.run("checkpoint", "verify", "a", job.token, "x") == [EGONE]
    assert fleet.run("release", "verify", "a", job.token, 0, "") == [EGONE]
    assert fleet.run("ask", "verify", "a", LOOK, 0, 0, "asked", 0) == [EGONE]
    assert fleet.run("claim", "verify", "a", job.token, "a.example", 1, 1) == [EGONE]
    assert fleet.run("reap", "verify") == [0, 0, 0]
    fleet.db.zadd(fleet.key("run:verify"), {"a": 1})
    assert fleet.run("reap", "verify") == [1, 0, 0] and not fleet.db.exists(fleet.key("run:verify"))
    assert fleet.run("repair", "verify", "a", "") == EGONE and fleet.audit() == {}


def test_removal(fleet):
    fleet.add("a", names=["a.example", "*.a.example"], issue=True)
    fleet.add("b", names=["b.example"])
    look = [j for j in fleet.take() if j.id == "a"][0]
    assert fleet.apply("remove", "a", nd=["a.example", "*.a.example"], j=[REMOVE, 0, 0, "removed"])[0] == OK
    assert fleet.run("beat", "verify", LEASE, "a", look.token) == [1]
    job = fleet.take_one("a", "issue")
    assert job.intent == REMOVE and unpack(job.d) == [b"a.example", b"*.a.example"]
    done = dict(z=True, d=["a.example", "*.a.example"], e=[["certfleet.endpoint.removed", "r", b"\x80"]])
    assert fleet.finish(job, "issue", **done) == OK
    assert fleet.finish(job, "issue", **done) == OK
    assert not fleet.db.exists(fleet.key("e:a")) and fleet.db.zrange(fleet.key("endpoints"), 0, -1) == [b"b"]
    assert fleet.db.zrange(fleet.key("run:verify"), 0, -1) == [b"b"]
    assert fleet.db.hgetall(fleet.key("rt:verify")) == {b"t1": b"1"}
    assert len(list(fleet.db.scan_iter(match="*dom:*"))) == 1
    assert fleet.finish(look) == EGONE and fleet.clean()
    assert len(fleet.events()) == 1


def test_changed_config_plans_anew(fleet):
    fleet.add("a", verify=False, issue=True)
    job = fleet.take_one("a", "issue")
    assert fleet.apply("update", "a", c=b"new", ng=True, x=1)[3] == 2
    later = fleet.now() + 10**6
    assert fleet.finish(job, "issue", s=["x", b"cert"], n=[RENEW, 2, later, "renew"]) == OK
    assert fleet.db.hget(fleet.key("e:a"), "x") == b"cert"
    again = fleet.take_one("a", "issue")
    assert again.c == b"new" and again.g == b"2"


def test_removal_of_a_changed_endpoint_waits(fleet):
    fleet.add("a", verify=False, issue=True)
    job = fleet.take_one("a", "issue")
    fleet.apply("update", "a", c=b"new", ng=True)
    said = [["certfleet.certificate.revoked", "v", b"\x80"], ["certfleet.endpoint.removed", "r", b"\x80"]]
    assert fleet.finish(job, "issue", z=True, e=said) == OK
    assert fleet.record("a", "issue").where == DUE and fleet.clean()
    assert [e["id"] for e in fleet.events()] == [b"v"], "it is not gone yet"
    assert fleet.finish(fleet.take_one("a", "issue"), "issue", z=True, e=said[1:]) == OK
    assert [e["id"] for e in fleet.events()] == [b"v", b"r"] and not fleet.db.exists(fleet.key("e:a"))


def test_asked_while_running(fleet):
    fleet.add()
    job = fleet.take_one("a")
    assert fleet.run("ask", "verify", "a", LOOK, 0, 0, "asked", 0) == [OK]
    assert fleet.record("a").where == RUNNING
    assert fleet.finish(job, n=[LOOK, 2, fleet.now() + 10**6, "later"]) == OK
    r = fleet.record("a")
    assert (r.where, r.lane, r.want, r.have) == (DUE, 0, 2, 1)
    job = fleet.take_one("a")
    assert fleet.finish(job, n=[LOOK, 2, fleet.now() + 10**6, "later"]) == OK
    assert fleet.record("a").due > fleet.now() and fleet.take() == []


def test_the_newest_wish_says_what_is_done(fleet):
    fleet.add("a", verify=False, issue=True, lane=0)
    job = fleet.take_one("a", "issue")
    fleet.run("ask", "issue", "a", RENEW, 0, 0, "asked", 0)
    fleet.run("ask", "issue", "a", REMOVE, 0, 0, "asked", 0)
    fleet.run("ask", "issue", "a", RENEW, 2, fleet.now() + 10**6, "sweep", 0)
    fleet.run("release", "issue", "a", job.token, 0, "cancelled")
    job = fleet.take_one("a", "issue")
    assert (job.intent, job.lane) == (REMOVE, 0)
    fleet.run("ask", "issue", "a", RENEW, 0, 0, "asked", 0)
    fleet.finish(job, "issue", n=[PROVISION, 0, 0, "next"])
    assert fleet.take_one("a", "issue").intent == RENEW


def test_ask_only_makes_earlier(fleet):
    later = fleet.now() + 10**6
    fleet.add(due=later)
    fleet.run("ask", "verify", "a", LOOK, 2, later + 5, "sweep", 0)
    assert fleet.record("a").due == later and fleet.record("a").want == 2
    fleet.run("ask", "verify", "a", LOOK, 0, 0, "person", 0)
    assert fleet.record("a").lane == 0 and fleet.clean()
    assert fleet.take_one("a").lane == 0


def test_finish_asks_the_other(fleet):
    fleet.add()
    job = fleet.take_one("a")
    assert fleet.finish(job, o=[PROVISION, 1, 0, "dns_right"]) == OK
    assert fleet.record("a").where == NONE
    assert fleet.take_one("a", "issue").lane == 1


def test_release_charges_nothing(fleet):
    fleet.add()
    job = fleet.take_one("a")
    assert fleet.run("checkpoint", "verify", "a", job.token, "order") == [OK]
    assert fleet.run("release", "verify", "a", job.token, 0, "drain") == [OK]
    assert fleet.run("release", "verify", "a", job.token, 0, "drain") == [OK]
    again = fleet.take_one("a")
    assert again.attempt == 1 and again.o == b"order"
    assert fleet.run("checkpoint", "verify", "a", again.token, "") == [OK]
    assert fleet.run("release", "verify", "a", again.token, fleet.now() + 10**6, "quota") == [OK]
    assert fleet.take() == [] and fleet.clean() and not fleet.db.hexists(fleet.key("e:a"), "o")
    assert not fleet.db.exists(fleet.key("rt:verify"))


def test_beat_extends(fleet):
    fleet.add()
    job = fleet.take_one("a", lease=1000)
    assert fleet.run("beat", "verify", 50000, "a", job.token) == [OK]
    assert fleet.record("a").due > fleet.now() + 40000 and fleet.clean()


def test_park_and_retry(fleet):
    fleet.add("a", verify=False, issue=True)
    assert fleet.finish(fleet.take_one("a", "issue"), "issue", p="eab_needed", st="parked") == OK
    assert fleet.record("a", "issue").where == PARKED and fleet.clean()
    assert fleet.run("ask", "issue", "a", PROVISION, 2, 0, "sweep", 0) == [OK]
    assert fleet.record("a", "issue").where == PARKED
    assert fleet.run("ask", "issue", "a", PROVISION, 0, 0, "retry", 1) == [OK]
    assert fleet.take_one("a", "issue").lane == 0 and fleet.clean()


def test_timeline_keeps_40(fleet):
    fleet.add()
    for i in range(45):
        fleet.finish(fleet.take_one("a"), n=[LOOK, 2, 0, ""], t=[b"entry %d" % i])
    t = unpack(fleet.db.hget(fleet.key("e:a"), "t"))
    assert len(t) == 40 and t[-1] == b"entry 44"


def test_expiry_chain_and_changes(fleet):
    fleet.add("a", verify=False, issue=True)
    sha = "ab" * 32
    fleet.finish(fleet.take_one("a", "issue"), "issue", n=[RENEW, 2, 0, ""], x=12345, c=[sha, b"chain"],
                 s=["x", b"cert", "k", b"key", "o", False])
    assert fleet.db.zscore(fleet.key("expiry"), "a") == 12345
    assert fleet.db.get(fleet.key("chain:" + sha)) == b"chain"
    assert fleet.db.xlen(fleet.key("changes")) == 2
    fleet.finish(fleet.take_one("a", "issue"), "issue", n=[RENEW, 2, 0, ""], x=-1, c=[sha, b"other"])
    assert fleet.db.zscore(fleet.key("expiry"), "a") is None
    assert fleet.db.get(fleet.key("chain:" + sha)) == b"chain" and fleet.db.xlen(fleet.key("changes")) == 2


def test_wake_is_published(fleet):
    listener = fleet.db.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(fleet.key("wake:verify"))
    listener.get_message(timeout=1)
    fleet.add()
    message = listener.get_message(timeout=5) or listener.get_message(timeout=5)
    assert message and message["channel"].decode() == fleet.key("wake:verify")
    listener.close()


def test_batch_of_64(fleet):
    for i in range(64):
        fleet.add(f"e{i:02}", tenant=f"t{i % 7}")
    jobs = fleet.take()
    assert len(jobs) == 64
    assert fleet.run("finish", "verify", *[pack(fleet.finish_item(j)) for j in jobs]) == [OK] * 64
    assert fleet.clean() and not fleet.db.exists(fleet.key("run:verify"), fleet.key("rt:verify"))
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL"):
        fleet.run("finish", "verify", *[pack(fleet.finish_item(jobs[0]))] * 65)


def test_reap_waits_while_the_clock_is_not_where_it_was(fleet):
    """Who reaps says what Redis' clock should say: after a step nobody's lease has lapsed."""
    fleet.add("a")
    fleet.take(lease=1)
    time.sleep(0.01)
    now = fleet.now()
    assert fleet.run("reap", "verify", now - 3600000, 1000) == [0, 0, 0]
    assert fleet.run("reap", "verify", now + 3600000, 1000) == [0, 0, 0]
    assert fleet.run("reap", "verify", now, 1000) == [1, 1, 0]
