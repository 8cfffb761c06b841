"""Alerts from edges to those who must act: incidents, webhooks, Alertmanager, and whoever dies on the way.

Time is shortened by the configuration: a retry after 0.2 to 1 s, leases of 1 and 2 s. CERTFLEET_OUTAGE_SECONDS=600 makes
the outage of a target ten minutes; CERTFLEET_INCIDENT=5000 is the size of the incident (300 unless given).
"""
import collections
import contextlib
import os
import time

import msgpack
import pytest
from alerts_aid import SECRET, Alertmanager, Fleet, Receiver
from api_aid import Api
from servers import wait_until

NS = "ns:provider.example"
OUTAGE = float(os.environ.get("CERTFLEET_OUTAGE_SECONDS", "3"))
MANY = int(os.environ.get("CERTFLEET_INCIDENT", "300"))


@contextlib.contextmanager
def running(**kwargs):
    fleet = Fleet(**kwargs)
    findings = None
    try:
        yield fleet
    finally:
        findings = fleet.stop()
    assert not findings, "\n".join(findings)


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"whsec_{SECRET}\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def receivers():
    made = [Receiver(), Receiver()]
    yield made
    for r in made:
        r.stop()


def webhooks(secret_file, **receivers):
    return {"alerts": {"webhooks": [{"name": name, "url": r.url, "secret_file": secret_file} for name, r in receivers.items()]}}


def in_order(events):
    """Each alert's events as they must come: opened, escalated, resolved."""
    rank = {"opened": 0, "escalated": 1, "unsilenced": 1, "resolved": 2}
    seen = {}
    for alert, kind in events:
        assert rank[kind] > seen.get(alert, -1), f"{alert}: {kind} came after a later one"
        seen[alert] = rank[kind]
    return True


def test_a_target_that_was_down_gets_each_alert_once_in_order(secret_file, receivers, patience):
    down, up = receivers
    up.start()
    with running(config=webhooks(secret_file, down=down, up=up)) as fleet:
        fleet.joined("down", "up")
        ids = [f"e{i}" for i in range(30)]
        fleet.endpoints(*ids)
        began = time.monotonic()
        for e in ids:
            fleet.edge(e)
        fleet.wait_said(30, "opened")
        for e in ids[:20]:
            fleet.edge(e, severity="critical")
        fleet.wait_said(20, "escalated")
        for e in ids[:10]:
            fleet.edge(e, open=False)
        fleet.wait_said(10, "resolved")
        said = fleet.said()
        wait_until("the other target to have it all", lambda: len(up.took) >= len(said), 20 * patience)
        assert not down.took and time.monotonic() - began < 60 * patience, "a dead target delays no other"
        time.sleep(max(0, OUTAGE - (time.monotonic() - began)))
        down.start()
        wait_until("all that was said", lambda: len(down.took) >= len(said), 30 * patience)
        wait_until("all to be acknowledged", lambda: fleet.settled("down") and fleet.settled("up"), 10 * patience)
        for r in receivers:
            events = [e for e in r.events() if not e[0].startswith("fleet/")]  # after two minutes there is one about the target
            assert sorted(events) == sorted(said) and in_order(r.events())
            assert len({i for i, _ in r.took}) == len(r.took), "each once"
        first = up.took[0][1]
        assert first["specversion"] == "1.0" and first["source"] == "demo" and first["data"]["condition"] == "servers_silent"


def test_what_a_target_answers(secret_file, receivers, patience):
    """Busy: later, as it says. Refused: that alert again, the others go on. Gone: nothing more, until it is enabled."""
    r = receivers[0].start()
    with running(config=webhooks(secret_file, hook=r)) as fleet:
        fleet.joined("hook")
        fleet.endpoints("a", "b", "c")
        r.status, r.answer_headers = 503, {"Retry-After": "2"}
        fleet.edge("a")
        wait_until("a try", lambda: r.tries, 20 * patience)
        tried = time.monotonic()
        r.status, r.answer_headers = 204, {}
        wait_until("the next try", lambda: r.took, 20 * patience)
        assert time.monotonic() - tried > 1.8 and r.tries == [r.took[0][0]] * 2, "the same webhook-id"
        r.status = 400
        fleet.edge("b")
        wait_until("refusals", lambda: len(r.tries) >= 4, 20 * patience)
        r.status = 204
        wait_until("it to be taken", lambda: len(r.took) == 2, 20 * patience)
        r.status = 410
        fleet.edge("c")
        wait_until("the target to be gone", lambda: fleet.db.hexists(fleet.key("notify:gone"), "hook"), 20 * patience)
        wait_until("an alert about it", lambda: ("fleet/webhook_gone:hook#1", "opened") in fleet.said(), 20 * patience)
        r.status, tries = 204, len(r.tries)
        fleet.edge("a", open=False)
        fleet.wait_said(1, "resolved")
        wait_until("it to be passed over", lambda: fleet.settled("hook"), 20 * patience)
        assert len(r.tries) == tries
        metrics = fleet.workers[0].get("/metrics")[1]
        assert 'certfleet_worker_notify_deliveries_total{target="hook",result="delivered"} 2' in metrics
        assert 'certfleet_worker_notify_oldest_undelivered_seconds{target="hook"} 0' in metrics
        assert fleet.cli("alerts", "enable", "hook").stdout == "hook: used again\n"
        wait_until("its own alert to be over", lambda: ("fleet/webhook_gone:hook#1", "resolved") in r.events(), 20 * patience)


def test_a_sender_killed_in_the_middle_loses_nothing(secret_file, receivers, patience):
    r = receivers[0].start()
    r.delay = 0.05
    with running(notifiers=2, config=webhooks(secret_file, hook=r)) as fleet:
        fleet.joined("hook")
        ids = [f"e{i}" for i in range(120)]
        fleet.endpoints(*ids)
        for e in ids:
            fleet.edge(e)
        wait_until("a third to be delivered", lambda: len(r.took) >= 40, 30 * patience, 0.01)
        holder = fleet.db.get(fleet.key("notify:lease:hook")).decode().split(":")[0]
        killed = next(w for w in fleet.workers if w.name == holder)
        killed.kill()
        killed.process = None
        alerts, group = fleet.key("alerts"), "notify:hook"
        pending = {p["message_id"] for p in fleet.db.xpending_range(alerts, group, "-", "+", 1000)}
        on_its_way = {fields[b"id"].decode() for entry, fields in fleet.db.xrange(alerts) if entry in pending}
        assert len(r.took) < 120, "it was killed too late to prove anything"
        wait_until("all of them", lambda: len({i for i, _ in r.took}) == 120, 40 * patience)
        wait_until("all to be acknowledged", lambda: fleet.settled("hook"), 20 * patience)
        twice = [event for event, n in collections.Counter(body["id"] for _, body in r.took).items() if n > 1]
        assert set(twice) <= on_its_way, "what was acknowledged is not told again"
        assert len(fleet.db.xinfo_consumers(fleet.key("alerts"), "notify:hook")) == 1


def test_what_is_silenced_is_told_when_the_silence_ends(secret_file, receivers, patience):
    r = receivers[0].start()
    with running(config=webhooks(secret_file, hook=r)) as fleet:
        fleet.joined("hook")
        fleet.endpoints("quiet1", "quiet2", "loud")
        answer = fleet.cli_json("alerts", "silence", "quiet*", "--reason", "they move", "--for", "1h")
        for e in ("quiet1", "quiet2", "loud"):
            fleet.edge(e)
        fleet.wait_said(3, "opened")
        fleet.edge("quiet2", open=False)
        fleet.wait_said(1, "resolved")
        wait_until("the loud one", lambda: r.events() == [("loud/servers_silent#1", "opened")] and fleet.settled("hook"), 20 * patience)
        shown = {a["key"]: a for a in fleet.cli_json("alerts")["alerts"]}
        assert shown["quiet1/servers_silent"]["silenced"] and "silenced" not in shown["loud/servers_silent"]
        assert fleet.cli_json("alerts", "silences")["silences"][0]["reason"] == "they move"
        fleet.cli("alerts", "unsilence", answer["id"])
        wait_until("the quiet one that is still open", lambda: r.events()[1:] == [("quiet1/servers_silent#1", "unsilenced")], 20 * patience)
        # Through the API one that is open already falls silent too.
        status, made, _ = Api(fleet)("POST", "/v1/silences", {"pattern": "loud", "reason": "seen", "expires_in": 600})
        assert status == 201 and made["open"] == 1 and made["by"] == "local"
        assert {a["key"]: a for a in fleet.cli_json("alerts")["alerts"]}["loud/servers_silent"]["silenced"]
        assert Api(fleet)("DELETE", "/v1/silences/" + made["id"])[0] == 200
        wait_until("the loud one again", lambda: r.events()[2:] == [("loud/servers_silent#1", "unsilenced")], 20 * patience)
        assert fleet.cli("alerts", "silences").stdout == "" and fleet.cli("alerts", "unsilence", "none", check=False).returncode == 1


def test_one_incident_whoever_leads(secret_file, receivers, patience):
    """A DNS provider dies; the leader is killed while it gathers; the provider returns."""
    r = receivers[0].start()
    config = webhooks(secret_file, hook=r)
    config["alerts"]["incident"] = {"endpoints": 5, "window": "1h", "hold": "20s"}
    with running(schedulers=2, config=config) as fleet:
        fleet.joined("hook")
        wait_until("a leader", lambda: fleet.db.hget(fleet.key("leader"), "nonce"), 20 * patience)
        ids = [f"e{i}" for i in range(MANY)]
        fleet.endpoints(*ids)
        for e in ids[:3]:
            fleet.edge(e, cause=NS)
        wait_until("edges to be held", lambda: fleet.db.xpending(fleet.key("edges"), "alerts")["pending"] == 3, 10 * patience)
        leader = max(fleet.schedulers, key=lambda s: "ok leader" in s.get("/healthz")[1])
        leader.kill()
        leader.process = None
        for e in ids[3:]:
            fleet.edge(e, cause=NS)
        wait_until("all to be members", lambda: fleet.db.zcard(fleet.key("incident:" + NS)) == MANY, 60 * patience)
        assert fleet.said("opened") == [("incident:ns:provider.example#1", "opened")]
        wait_until("every edge to be answered", lambda: fleet.db.xlen(fleet.key("edges")) == 0, 20 * patience)
        assert len(fleet.cli("alerts", "members", "incident:" + NS, "-n", "0").stdout.splitlines()) == MANY
        for e in ids:
            fleet.edge(e, open=False)
        fleet.wait_said(1, "resolved", seconds=60 * patience)
        wait_until("the end at the target", lambda: ("incident:ns:provider.example#1", "resolved") in r.events(), 20 * patience)
        kinds = [kind for _, kind in r.events()]
        assert kinds[0] == "opened" and set(kinds[1:-1]) <= {"escalated"} and kinds[-1] == "resolved"
        last = r.took[-1][1]["data"]
        assert last["peak"] == MANY and last["condition"] == "dns_provider" and len(last["members"]) <= 20
        assert not fleet.db.zcard(fleet.key("alerts:open")) and not list(fleet.db.scan_iter("*incident:ns*:n"))
        print(f"{MANY} endpoints, one incident: {len(r.took)} messages in all")


def test_a_subscriber_that_was_away_misses_nothing(patience):
    """Its group does not read while alerts come and go; everything is old enough to be trimmed (keep 0 instead of a day,
    a node of the stream holds one entry), and another group has read it all. Then it reads."""
    with running(notifiers=0) as fleet:
        fleet.db.config_set("stream-node-max-entries", 1)
        for group in ("away", "quick"):
            fleet.db.xgroup_create(fleet.key("alerts"), group, "0", mkstream=True)
        ids = [f"e{i}" for i in range(100)]
        fleet.endpoints(*ids)
        for e in ids:
            fleet.edge(e)
        fleet.wait_said(100, "opened")
        for e in ids[:50]:
            fleet.edge(e, open=False)
        fleet.wait_said(50, "resolved")
        said = fleet.said()
        quick = fleet.db.xreadgroup("quick", "q", {fleet.key("alerts"): ">"}, count=1000)[0][1]
        fleet.db.xack(fleet.key("alerts"), "quick", *[i for i, _ in quick])
        length, taken, lost = fleet.trim("alerts", 10**6, 0)[:3]
        assert (taken, lost) == (0, 0) and length >= 150
        came = []
        while entries := fleet.db.xreadgroup("away", "a", {fleet.key("alerts"): ">"}, count=10):
            for i, fields in entries[0][1]:
                data = msgpack.unpackb(fields[b"data"])
                if "key" in data:
                    came.append((data["id"], fields[b"type"].decode().rsplit(".", 1)[1]))
                fleet.db.xack(fleet.key("alerts"), "away", i)
            fleet.trim("alerts", 10**6, 0)
        assert came == said and len(came) == 150, "all of it, once, in order"
        assert fleet.trim("alerts", 10**6, 0)[0] <= 2, "and now it may go"


def test_alertmanager_shows_and_resolves(tmp_path, patience):
    manager = Alertmanager(str(tmp_path / "am")).start()
    try:
        with running(config={"alerts": {"alertmanagers": [{"name": "am", "url": manager.url, "resend": "500ms"}]}}) as fleet:
            fleet.joined("am")
            fleet.endpoints("shop", "blog")
            fleet.edge("shop", "caa_forbids", fix="change the CAA record", deadline=int(time.time() * 1000) + 10**9)
            fleet.edge("blog", "expiry")
            shown = wait_until("both to be shown", lambda: {a["labels"]["endpoint"]: a for a in manager.alerts()
                                                            if "endpoint" in a["labels"]} if len(manager.alerts()) >= 2 else None,
                               20 * patience)
            assert shown["shop"]["labels"] == {
                "alertname": "CaaForbids", "fleet": "demo", "condition": "caa_forbids", "endpoint": "shop", "tenant": "t1",
                "severity": "warning", "actor": "owner"}
            assert shown["shop"]["annotations"]["fix"] == "change the CAA record"
            assert "certfleet endpoint show" in shown["blog"]["annotations"]["runbook"]
            fleet.edge("shop", "caa_forbids", severity="critical")
            wait_until("the graver one alone", lambda: [a["labels"]["severity"] for a in manager.alerts()
                                                        if a["labels"]["condition"] == "caa_forbids"] == ["critical"], 20 * patience)
            before = {a["labels"]["condition"]: a["updatedAt"] for a in manager.alerts()}
            wait_until("it to be said again", lambda: all(a["updatedAt"] > before[a["labels"]["condition"]] for a in manager.alerts()),
                       20 * patience)
            fleet.edge("shop", "caa_forbids", open=False)
            wait_until("it to be resolved", lambda: [a["labels"]["condition"] for a in manager.alerts()] == ["expiry"], 20 * patience)
    finally:
        manager.stop()
