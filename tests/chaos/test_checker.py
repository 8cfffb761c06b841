"""The checker finds what it is for: each test spoils a good history in one way, and the finding must name it."""
import check_fleet
import check_streams
import checker
import good_history as g
import pytest
from good_history import S1, S2, ms, token


def check(h):
    return checker.check(h)


def found(h):
    return [f"{x.check}: {x.endpoint} {x.text}" for x in check(h).findings]


def drop(entries, id_):
    entries[:] = [e for e in entries if e["id"] != id_]


def loss(h, since, until):
    h["losses"].append({"from": ms(since), "to": ms(until), "cause": "power lost"})


def test_a_good_history_has_no_finding():
    f = check(g.good())
    assert not f.findings and not f.allowed
    assert f.counts["first"] == 2 and f.counts["asked to renew"] == 1 and f.counts["extra"] == 0
    assert "extra 0" in checker.summary(f)


# --- one spoiler a line: what is done to the history, and what must be said of it

def unanswered(h): h["asks"][2]["answered"] = 0
def answer_lost(h): drop(h["final"]["results"], "req/chaos/a3")
def applied_twice(h): h["final"]["results"].append(g.answer(11, "a3", "renew", "shop", 7))
def other_answer(h): h["asks"][0]["status"] = "refused"
def out_of_order(h):
    h["asks"].append(g.ask(8, "a9", "verify", "shop"))
    h["final"]["results"].append(g.answer(11, "a9", "verify", "shop"))
def endpoint_lost(h): h["final"]["endpoints"].clear()
def endpoint_back(h): h["final"]["endpoints"]["gone"] = g.endpoint() | {"names": ["gone.test"]}
def names_lost(h): h["final"]["endpoints"]["shop"]["generation"] = 0
def removal_lost(h): drop(h["final"]["results"], "removed/gone/1")
def still_there(h): removal_lost(h), endpoint_back(h)
def nobody_asked_removal(h): h["final"]["results"].append(g.event(20, "endpoint.removed", "shop", "removed/shop/1"))
def stray(h): h["final"]["stray"] = ["x"]
def not_active(h): h["final"]["endpoints"]["shop"]["state"] = "failing"
def renewal_unmet(h): h["final"]["endpoints"]["shop"]["renew_asked"] = ms(13)
def revocation_unmet(h): h["final"]["endpoints"]["shop"]["revoke_asked"] = ms(13)
def not_looked_at(h): h["final"]["endpoints"]["shop"]["looked_generation"] = 0
def older_config(h): h["final"]["endpoints"]["shop"]["wanted_now"] = 2
def other_names(h): h["certificates"][S2]["names"] = ["other.test"]
def revoked(h): h["certificates"][S2]["status"] = "Revoked"
def silent_about_dns(h): h["dns"].append({"at": ms(20), "endpoint": "shop", "names": ["shop.test"], "right": False})
def audit_dirty(h): h["final"]["audit"]["said"]["found"] = 1
def still_running(h): h["final"]["running"]["issue"] = ["shop"]
def no_job(h): h["final"]["endpoints"]["shop"]["verify"] = None
def parked(h): h["final"]["parked"]["verify"] = ["shop"]
def entries_left(h): h["final"]["left"]["edges"] = 2
def bad_exit(h): h["final"]["exit"]["worker1"] = 1
def bad_term(h): h["faults"].append({"what": "term", "target": "worker1", "from": ms(1), "to": ms(2), "status": -9, "args": {}})
def never_seen(h): drop(h["seen_group"], f"issued/shop/{S1}")
def never_seen_plain(h): drop(h["seen_plain"], "shop/nxdomain#1:opened")
def vanished(h): h["seen_plain"].append(g.event(13, "issuance.failed", "shop", f"failed/shop/{token(12)}"))
def said_twice(h): h["final"]["results"].append(g.certificate(13, "shop", S2, S2, 2))
def said_otherwise(h): h["seen_plain"][4]["data"] = {"serial": "ff"}
def announcement_lost(h): drop(h["final"]["results"], f"issued/shop/{S1}")
def not_announced(h): h["final"]["endpoints"]["shop"]["serial"] = "d4"
def invented(h): h["orders"]["o1"]["serial"] = ""
def state_lost(h): drop(h["final"]["results"], f"state:shop:{token(1.5)}")
def state_other(h): h["final"]["endpoints"]["shop"]["state"] = "waiting_dns"
def opened_twice(h): h["final"]["alerts"].insert(1, h["final"]["alerts"][0] | {"entry": f"{ms(17)}-0", "id": "x"})
def other_ordinal(h): h["final"]["alerts"][1]["data"]["id"] = "shop/nxdomain#2"
def resolved_lost(h): drop(h["final"]["alerts"], "shop/nxdomain#1:resolved")
def open_without_cause(h):
    resolved_lost(h)
    h["final"]["alerts_open"] = ["shop/nxdomain"]
def member_of_nothing(h): h["final"]["alert_members"] = ["shop/caa_forbids"]
def alert_lost(h): h["final"]["endpoints"]["shop"]["conditions"] = ["caa_forbids"]
def older_certificate(h): h["snapshots"].append(g.snapshot(14, S1, 1))
def fewer_renewals(h): h["snapshots"].append(g.snapshot(14, "", 0))
def older_generation(h): h["snapshots"].append(g.snapshot(14, S2, 1, generation=0))
def stale_finish(h):
    h["runs"] += [g.run(20, "shop", "issue", "renew"), g.run(24, "shop", "issue", "renew")]
    for at, by in ((25, 24), (26, 20)):
        h["final"]["results"].append(g.event(at, "issuance.failed", "shop", f"failed/shop/{token(by)}"))
def unknown_run(h): h["final"]["results"].append(g.event(25, "issuance.failed", "shop", f"failed/shop/{token(24)}"))
def orphan_order(h): h["orders"]["o9"] = g.order(50, "o9", "")
def abandoned_order(h):
    h["orders"]["o9"] = g.order(20, "o9", "")
    h["attempts"].append(g.attempt(20, "shop", token(19), "o9"))
def lost_certificate(h):
    abandoned_order(h)
    h["orders"]["o9"]["serial"] = "e5"
    h["certificates"]["e5"] = {"status": "Valid", "names": ["shop.test"]}
def needless_order(h): drop(h["final"]["results"], "req/chaos/a3"), drop(h["seen_group"], "req/chaos/a3"), drop(h["seen_plain"], "req/chaos/a3")
def nobody_asked_revocation(h): h["certificates"][S1]["status"] = "Revoked"
def second_account(h): h["accounts"].append(ms(30))


SPOILERS = [
    (unanswered, "asks: shop renew", "never answered"), (answer_lost, "asks: shop renew", "not in force"),
    (applied_twice, "asks: shop", "applied 2 times"), (other_answer, "asks: shop", "answered refused, then done"),
    (out_of_order, "asks: shop", "was applied before"), (endpoint_lost, "config: shop", "is lost"),
    (endpoint_back, "config: gone", "exists"), (names_lost, "config: shop", "in generation 0"),
    (removal_lost, "config: gone", "is lost"), (still_there, "config: gone", "still there"), (nobody_asked_removal, "config: shop", "without being asked"),
    (stray, "config: x", "not in `endpoints`"), (not_active, "needs: shop", "is failing"),
    (renewal_unmet, "needs: shop", "asked to renew"), (revocation_unmet, "needs: shop", "asked to revoke"),
    (older_config, "needs: shop", "what it was before"), (not_looked_at, "needs: shop", "not looked at"), (other_names, "needs: shop", "certificate for ['other.test']"),
    (revoked, "needs: shop", "is Revoked"), (silent_about_dns, "needs: shop", "without a word"),
    (audit_dirty, "queue:", "audit is not clean"), (still_running, "queue: shop", "is running"),
    (no_job, "queue: shop", "no verify job"), (parked, "queue: shop", "is parked"),
    (entries_left, "queue:", "left in edges"), (bad_exit, "queue:", "status 1"), (bad_term, "queue:", "status -9"),
    (never_seen, "delivery: shop", "never reached seen_group"), (never_seen_plain, "delivery: shop", "never reached seen_plain"),
    (vanished, "delivery: shop", "was said and is gone"), (said_twice, "ids: shop", "said twice"),
    (said_otherwise, "ids: shop", "one thing, then another"), (announcement_lost, "certificates: shop", "an announcement is lost"),
    (not_announced, "certificates: shop", "announced was"), (invented, "certificates: shop", "issued no such"),
    (state_lost, "states: shop", "but it was nothing"), (state_other, "states: shop", "said was active"),
    (opened_twice, "alerts: shop", "was open"), (other_ordinal, "alerts: shop", "after number 1"), (member_of_nothing, "alerts: shop", "does not hold"),
    (resolved_lost, "alerts:", "open in Redis: []"), (open_without_cause, "alerts: shop", "does not hold"),
    (alert_lost, "alerts: shop", "no alert is open"), (older_certificate, "overwrites: shop", "became the older"),
    (fewer_renewals, "overwrites: shop", "renewals became"), (older_generation, "overwrites: shop", "generation 1 became 0"),
    (stale_finish, "overwrites: shop", "ended after a later one"), (unknown_run, "overwrites: shop", "no worker began this run"),
    (orphan_order, "orders:", "no worker was about to"), (abandoned_order, "orders: shop", "abandoned, and nothing explains"),
    (lost_certificate, "orders: shop", "certificate lost, and nothing explains"),
    (needless_order, "orders: shop", "not needed, and nothing explains"),
    (nobody_asked_revocation, "orders: shop", "nobody asked for it"), (second_account, "orders:", "another account"),
]


@pytest.mark.parametrize("spoil, where, words", SPOILERS, ids=[s[0].__name__ for s in SPOILERS])
def test_it_is_found(spoil, where, words):
    h = g.good()
    spoil(h)
    said = found(h)
    assert any(x.startswith(where) and words in x for x in said), said


# --- what is allowed, and only then

@pytest.mark.parametrize("spoil", [answer_lost, vanished, older_certificate, older_generation, lost_certificate])
def test_what_redis_may_lose_is_allowed_and_listed(spoil):
    h = g.good()
    spoil(h)
    loss(h, 9, 25)
    f = check(h)
    assert not f.findings and [x.cause for x in f.allowed if "power lost" in x.cause]
    assert "power lost" in checker.summary(f)


def test_a_condition_may_be_said_by_an_incident():
    h = g.good()
    alert_lost(h)
    h["final"]["alert_members"] = ["shop/caa_forbids"]
    assert not found(h)


def test_conditions_that_no_job_keeps():
    e = g.endpoint()
    assert check_streams.holds(e, "expiry", e["not_after"] - 80_000)
    assert not check_streams.holds(e, "expiry", e["not_after"] - 120_000)
    assert not check_streams.holds(e, "parked", 0)
    assert check_streams.holds(e | {"issue": g.job("parked")}, "parked", 0)


def test_before_and_after_nothing_may_be_lost():
    h = g.good()
    vanished(h)
    loss(h, 1, 12)
    loss(h, 14, 20)
    assert found(h)


def test_behind_a_barrier_what_was_acknowledged_is_never_lost():
    h = g.good()
    answer_lost(h)
    loss(h, 9, 12)
    h["settings"]["barrier"] = 1
    assert not found(h)  # a renewal has none
    drop(h["final"]["results"], "req/chaos/a4")
    loss(h, 13, 15)
    assert any("remove (chaos/a4)" in x and "not in force" in x for x in found(h))


def test_behind_a_barrier_no_key_is_lost():
    h = g.good()
    lost_certificate(h)
    loss(h, 19, 25)
    assert not found(h)
    h["settings"]["barrier"] = 1
    assert any("key of certificate e5 is lost" in x for x in found(h))


def test_behind_a_barrier_the_answer_may_come_after_the_deed():
    h = g.good()
    for stream in (h["final"]["results"], h["seen_group"], h["seen_plain"]):
        for e in stream:
            if e["id"] in ("req/chaos/a3", "req/chaos/a4"):
                e.update(at=ms(20), entry=f"{ms(20)}-{e['id'][-1]}")
    h["asks"][2]["answered"] = h["asks"][3]["answered"] = ms(20)
    assert found(h)
    h["settings"]["barrier"] = 1
    assert not found(h)


def fault(at, what, target, for_s=1):
    return {"what": what, "target": target, "from": ms(at), "to": ms(at + for_s), "args": {}}


@pytest.mark.parametrize("what, target, at, allowed", [
    ("kill", "worker1", 19.9, True), ("kill", "worker2", 19.9, False), ("kill", "worker1", 30, False),
    ("redis_kill", "redis", 19.9, True), ("pebble_stop", "pebble", 19, True), ("stop", "scheduler1", 19.9, False)])
def test_an_extra_order_needs_a_fault_where_and_when_it_was_placed(what, target, at, allowed):
    h = g.good()
    abandoned_order(h)
    h["attempts"][-1]["saved"] = 0
    h["faults"].append(fault(at, what, target))
    f = check(h)
    assert (not f.findings) == allowed
    assert [x.cause.split()[0] for x in f.allowed] == ([what] if allowed else [])


def test_one_fault_costs_an_endpoint_one_order():
    h = g.good()
    abandoned_order(h)
    h["attempts"][-1]["saved"] = 0
    h["orders"]["o8"] = g.order(20.5, "o8", "")
    h["attempts"].append(g.attempt(20.5, "shop", token(19), "o8") | {"saved": 0})
    h["faults"].append(fault(20, "kill", "worker1"))
    f = check(h)
    assert len(f.findings) == 1 and len(f.allowed) == 1


def test_a_saved_order_is_not_lost_by_a_worker():
    h = g.good()
    abandoned_order(h)
    h["faults"].append(fault(25, "kill", "worker1"))
    assert found(h)


def test_a_failed_attempt_accounts_for_its_order():
    h = g.good()
    abandoned_order(h)
    h["failures"].append({"event": "issuance_failed", "endpoint": "shop", "at": ms(22), "worker": "worker1", "code": "dns"})
    f = check(h)
    assert not f.findings and f.counts["attempt failed"] == 1


@pytest.mark.parametrize("broke_at, accounted", [(22, True), (18, False)])
def test_dns_that_breaks_for_good_accounts_for_the_order_under_way(broke_at, accounted):
    h = g.good()
    abandoned_order(h)
    h["dns"].append({"at": ms(broke_at), "endpoint": "shop", "names": ["shop.test"], "right": False})
    orders = [x for x in check(h).findings if x.check == "orders"]
    assert (not orders) == accounted


def test_what_is_parked_is_not_at_rest_whatever_its_dns():
    h = g.good()
    e = h["final"]["endpoints"]["shop"] | {"state": "failing", "issue": g.job("parked")}
    assert "parked" in check_fleet.unrest(e, right=False)
    assert not check_fleet.unrest(e | {"issue": g.job("due")}, right=False)


def test_an_order_whose_answer_was_lost_is_known_by_its_time():
    h = g.good()
    h["orders"]["o9"] = g.order(20, "o9", "")
    h["attempts"].append(g.attempt(20, "shop", token(19), "") | {"saved": 0})
    h["faults"].append(fault(19.5, "pebble_stop", "pebble"))
    f = check(h)
    assert not f.findings and len(f.allowed) == 1


def test_a_finding_is_told_with_its_timeline_and_how_to_see_it_again():
    h = g.good()
    abandoned_order(h)
    h["faults"].append(fault(40, "kill", "worker2"))
    text = checker.findings(check(h))
    for words in ("FOUND orders: shop", "make chaos SEED=1", "issued/shop/a1", "kill worker2", "order o9", "renew a3"):
        assert words in text
