"""What edges serve is looked at by TLS, on real servers: each `served_*` code with who must act, what was expected and found at
which address, the edge to reload, and its end; n of m where only some are behind; nothing of it is ever a name's fault.

Each endpoint has a traffic target of its own, whose addresses are edges that the test plays. Beside them stands the stack's
edge, which `certfleet sync` keeps current and the configuration names (edge.addresses): so all is right at one address more.
What is internal is seen from inside its zone: by a worker there that has no key and may go where others may not.
"""
import json
import urllib.request

import msgpack
import pytest
import redis
import yaml
from conftest import running_stack
from edges import Edge, SServer, Stranger
from servers import LOOPBACK, free_port, wait_until
from stack import TARGET, Daemon

KEY = "cf:{demo}:"
NAME, WILD = "shop.example.test", "*.wild.example.test"
INNER, NO_ZONE, INSIDE = "inner.internal.test", "nowhere.internal.test", "127.0.9.1"


class Row:
    """An endpoint, its edges, what the first of them presents, and what is to be said of it."""

    all = []

    def __init__(self, id, code, present, says="", found="", severity="warning", edges=1, renewed=False, kind=Edge):
        self.id, self.code, self.present, self.says, self.found = id, code, present, says, found
        self.severity, self.count, self.renewed, self.kind = severity, edges, renewed, kind
        self.name, self.target = f"{id}.example.test", f"{id}.edge.platform.test"
        self.addresses, self.edges, self.old, self.now = [], [], None, None
        Row.all.append(self)

    def at(self, i=0):
        return f"{self.edges[i].address}:{self.edges[i].port}"


Row("old", "served_old", lambda r, s: r.present_pem(r.old), renewed=True, found="%OLD",
    says="Reload the edge at %AT: it still presents the certificate of %DATE, serial %OLD.")
Row("mixed", "served_old", lambda r, s: r.present_pem(r.old), renewed=True, edges=3, found="%OLD", says="Reload the edge at %AT:")
Row("foreign", "served_other", lambda r, s: r.present_pem(s.certificate(r.name)), found="by A stranger",
    says="Let the edge load what certfleet issued, at %AT: it presents what somebody else issued, serial ")
Row("untrusted", "served_other", lambda r, s: r.present_pem(s.self_signed(r.name)), found="by untrusted.example.test",
    says="Let the edge load what certfleet issued, at %AT")
Row("expired", "served_expired", lambda r, s: r.present_pem(s.certificate(r.name, end="20260201000000Z")), severity="critical",
    found="until 2026-02-01T00:00:00", says="Reload the edge at %AT: it presents a certificate that ended at 2026-02-01T00:00:00Z")
Row("name", "served_name", lambda r, s: r.present_pem(s.certificate("elsewhere.example")), severity="critical",
    found="by A stranger", says="choose it by SNI, at %AT: what it presents is not for name.example.test")
Row("chain", "served_chain", lambda r, s: r.present_pem(r.leaf_alone()), found="%NOW", kind=SServer,
    says="Let the edge load the whole chain (fullchain.pem), at %AT: it presents the certificate without its intermediates")
Row("plain", "served_handshake", lambda r, s: r.edges[0].present(), severity="critical", found="wrong version number",
    says="See that the edge speaks TLS and chooses by SNI, at %AT: it presents nothing for plain.example.test")
Row("strict", "served_handshake", lambda r, s: r.edges[0].present(s.certificate("elsewhere.example"), strict=True),
    severity="critical", found="unrecognized name", says="chooses by SNI, at %AT")
Row("silent", "served_handshake", lambda r, s: r.edges[0].silent(), severity="critical", found="not over in time", says="at %AT")
Row("refused", "", lambda r, s: r.edges[0].absent())
Row("fine", "", None)
Row("fine-openssl", "", None, kind=SServer)
WRONG = [r for r in Row.all if r.code]


class World:
    def __init__(self, stack):
        self.stack = stack
        self.stranger = Stranger(stack.path("stranger"))
        for i, row in enumerate(Row.all):
            for k in range(row.count):
                address = f"127.0.2.{10 * i + k + 1}"
                row.edges.append(row.kind(stack.path(f"edge-{address}"), address, stack.haproxy.https_port))
            row.present_pem = row.edges[0].present
            row.leaf_alone = lambda r=row: self.together(r, "cert.pem")

    def add(self):
        knot = self.stack.knot
        for row in Row.all:
            knot.add(*[(row.target, "A", e.address) for e in row.edges], (row.name, "CNAME", row.target + "."),
                     self.stack.challenge_cname(row.name))
        knot.add((NAME, "CNAME", TARGET + "."), (WILD, "CNAME", TARGET + "."), self.stack.challenge_cname(NAME), self.stack.challenge_cname(WILD))
        endpoints = [{"id": r.id, "names": [r.name], "type": "external", "target": r.target} for r in Row.all]
        knot.add((INNER, "A", INSIDE), self.stack.challenge_cname(INNER), self.stack.challenge_cname(NO_ZONE))
        endpoints += [{"id": "inner", "names": [INNER], "type": "internal", "zone": "inside"},
                      {"id": "no-zone", "names": [NO_ZONE], "type": "internal"}]
        endpoints += [{"id": i, "names": [n], "type": "external", "target": TARGET} for i, n in (("shop", NAME), ("wild", WILD))]
        path = self.stack.path("endpoints.yaml")
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump({"endpoints": endpoints}, f)
        self.stack.cli("endpoint", "import", path)
        self.ids = [e["id"] for e in endpoints]
        self.inner = Row("inner", "served_old", None)
        Row.all.remove(self.inner)
        self.inner.edges = [Edge(self.stack.path("edge-inside"), INSIDE, self.stack.haproxy.https_port)]

    def start_inside(self):
        """A worker in the zone, as another user of Redis: it has its own network.allow, and no key."""
        stack, health = self.stack, free_port()
        config = stack._write_own_config("inside", "looker", {
            "vault": None, "challenges": None, "authorities": None, "edge": {"addresses": None}, "network": {"allow": [f"{INSIDE}/32"]},
            "worker": {"name": "inside", "roles": ["look"], "zone": "inside", "listen": f"{LOOPBACK}:{health}"}})
        worker = Daemon(stack.path("inside"), "inside", stack.program("certfleet-worker"), config, health)
        stack.workers.append(stack._start(worker))
        return worker

    def together(self, row, certificates="fullchain.pem"):
        """What an edge loads of what is issued now."""
        folder = self.stack.path(f"exported-{row.id}")
        self.stack.cli("certificate", "export", row.id, "--dir", folder)
        pem = f"{folder}/{self.serial(row.id)}-{certificates}"
        with open(pem, "w", encoding="ascii") as f:
            for name in (certificates, "privkey.pem"):
                with open(f"{folder}/{name}", encoding="ascii") as part:
                    f.write(part.read())
        return pem

    def load(self, row, edge):
        pem = self.together(row)
        edge.present(pem, **({"chain": f"{self.stack.path('exported-' + row.id)}/chain.pem"} if row.kind is SServer else {}))

    def shown(self, id):
        return self.stack.cli_json("endpoint", "show", id)

    def serial(self, id):
        return (self.shown(id)["certificate"] or {}).get("serial")

    def renew(self, ids, seconds):
        before = {i: self.serial(i) for i in ids}
        self.stack.cli("endpoint", "renew", *ids)
        wait_until("the renewals", lambda: all(self.serial(i) != before[i] for i in ids), seconds, 0.3)
        return before

    def alerts(self):
        return {(a["endpoint"], a["condition"]): a for a in self.stack.cli_json("alerts")["alerts"]}

    def said(self, kind):
        db = redis.Redis.from_url(self.stack.redis.url)
        return [f[b"id"].decode() for _, f in db.xrange(KEY + "results") if f[b"type"].decode().endswith(kind)]

    def opened(self):
        db = redis.Redis.from_url(self.stack.redis.url)
        return sorted(msgpack.unpackb(f[b"data"])["key"] for _, f in db.xrange(KEY + "alerts")
                      if f[b"type"].decode().endswith("alert.opened"))

    def all_ok(self, ids):
        return all(self.shown(i)["served"]["status"] == "ok" for i in ids)


@pytest.fixture(scope="module")
def world(patience):
    """All edges that are wrong, and alerted; and what the configuration's edge did not load."""
    config = {"scheduler": {"proof_every": "24h"}, "alerts": {"incident": {"hold": "1s"}},
              "network": {"allow": ["127.0.0.0/22"]}}
    for stack in running_stack(workers=1, schedulers=1, config=config):
        world = World(stack)
        world.add()
        stack.wait_states("active", world.ids, 90 * patience)
        wait_until("the first proof", lambda: world.all_ok(["shop", "wild"]), 60 * patience, 0.3)
        world.unseen = wait_until("a try", lambda: (lambda d: d if d["served"]["reason"] else None)(world.shown("inner")), 60 * patience)
        for row in [*Row.all, world.inner]:
            row.old = world.together(row)
        world.start_inside()
        world.inner.edges[0].present(world.inner.old)
        renewed = [r for r in Row.all if r.renewed]
        was = world.renew([r.id for r in renewed], 60 * patience)
        for row in renewed:
            row.serials = (was[row.id], world.serial(row.id))
        for row in Row.all:
            for edge in row.edges[1 if row.present else 0:]:
                world.load(row, edge)
            if row.present:
                row.present(row, world.stranger)
        wait_until("sync to bring the renewals", lambda: all(
            int(stack.serial_served(r.name) or "0", 16) == int(world.serial(r.id), 16) for r in renewed), 60 * patience, 0.3)
        stack.sync.stop()
        world.first = world.renew(["shop", "wild", "inner"], 60 * patience)
        try:
            yield world
        finally:
            for row in Row.all:
                for edge in row.edges:
                    edge.absent()
            world.inner.edges[0].absent()


def fill(world, row, text):
    old, now = getattr(row, "serials", ("", world.serial(row.id)))
    issued = world.shown(row.id)["certificate"]["not_before"]
    for word, value in (("%OLD", old), ("%NOW", now), ("%AT", row.at()), ("%DATE", issued[:10])):
        text = text.replace(word, value)
    return text


@pytest.mark.parametrize("row", WRONG, ids=[r.id for r in WRONG])
def test_what_an_edge_does_wrong_is_said_exactly(world, patience, row):
    alert = wait_until("the alert, without being asked", lambda: world.alerts().get((row.id, row.code)), 90 * patience, 0.5)
    document = world.shown(row.id)
    served, finding = document["served"], next(f for f in document["findings"] if f["code"] == row.code)
    n = row.count + 1
    assert document["state"] == "active" and (served["status"], served["right"], served["addresses"]) == ("stale", n - 1, n)
    assert [(b["address"], b["code"]) for b in served["behind"]] == [(row.at(), row.code)]
    assert document["dns"]["names"][0]["dns-01"] == "can", "an edge says nothing of what can be issued"
    assert (finding["actor"], finding["severity"]) == ("operator", row.severity)
    assert document["certificate"]["serial"] in finding["expected"]
    assert [o["server"] for o in finding["observed"]] == [row.at()]
    assert fill(world, row, row.found) in finding["observed"][0]["what"]
    fix = "\n".join(finding["fix"])
    assert fill(world, row, row.says) in fix
    assert f"Serial {document['certificate']['serial']} is published under {row.id} since " in fix
    assert f"certfleet certificate export {row.id}" in fix
    assert f"Served at {n - 1} of {n} addresses; behind: {row.at()} ({row.code})" in alert["text"]
    assert alert["actor"] == "operator" and row.at() in alert["fix"]
    page = " ".join(world.stack.cli("endpoint", "show", row.id).stdout.split())
    assert f"served stale: right at {n - 1} of {n} addresses" in page and f"behind {row.at()}: the edge" in page


def test_no_connection_is_no_alarm(world, patience):
    served = wait_until("a look", lambda: (lambda s: s if s["status"] == "unreachable" else None)(world.shown("refused")["served"]),
                        60 * patience, 0.3)
    row = next(r for r in Row.all if r.id == "refused")
    assert (served["right"], served["addresses"]) == (1, 2)
    assert [(b["address"], b["code"], b["what"]) for b in served["behind"]] == [(row.at(), "unreachable", "connection refused")]
    assert world.shown("refused")["findings"] == [] and not [a for a in world.alerts() if a[0] == "refused"]


@pytest.mark.parametrize("id", ["fine", "fine-openssl"])
def test_what_is_right_is_told_step_by_step(world, patience, id):
    wait_until("the proof", lambda: world.all_ok([id]), 60 * patience, 0.3)
    document = world.shown(id)
    serial = document["certificate"]["serial"]
    assert document["findings"] == [] and document["served"]["behind"] == []
    with urllib.request.urlopen(f"http://127.0.0.1:{world.stack.schedulers[0].port}/v1/endpoints/{id}", timeout=10) as answer:
        api = json.load(answer)
    assert api["served"] == document["served"] and api["timeline"] == document["timeline"]
    steps = [t for t in document["timeline"] if t["what"] in ("issued", "published", "served")]
    assert [t["what"] for t in steps[:3]] == ["issued", "published", "served"]
    assert all(f"serial {serial}" in t["text"] for t in steps) and steps[-1]["text"].endswith("at 2 of 2 addresses")
    assert f"served/{id}/{serial}" in world.said("certificate.served")


def test_what_is_internal_is_unknown_without_a_worker_inside(world):
    assert world.unseen["state"] == "active" and world.unseen["findings"] == []
    assert (world.unseen["served"]["status"], world.unseen["served"]["reason"]) == ("unknown", "no_worker")
    assert world.unseen["zone"] == "inside"
    page = world.stack.cli("endpoint", "show", "no-zone").stdout
    assert "unknown: internal, and in no zone whose workers could look" in page


def test_what_is_internal_is_seen_from_inside(world, patience):
    """The address is one that the worker with the jobs may not connect to."""
    alert = wait_until("the alert", lambda: world.alerts().get(("inner", "served_old")), 90 * patience, 0.5)
    document = world.shown("inner")
    assert (document["served"]["status"], document["served"]["addresses"]) == ("stale", 1)
    assert document["served"]["behind"][0]["address"] == world.inner.at()
    assert f"behind: {world.inner.at()} (served_old)" in alert["text"]
    assert world.first["inner"] in next(f for f in document["findings"] if f["code"] == "served_old")["observed"][0]["what"]
    assert "look zone:inside" in world.stack.cli("workers").stdout


def test_all_that_is_mended_is_over(world, patience):
    """The last: what is wrong is put right at each edge, and the configuration's own edge loads again."""
    stale = {i: world.shown(i)["served"] for i in ("shop", "wild")}
    for id in stale:
        wait_until(f"the alert of {id}", lambda i=id: (i, "served_old") in world.alerts(), 90 * patience, 0.5)
        seen = world.shown(id)
        assert (seen["served"]["right"], seen["served"]["addresses"]) == (0, 1)
        assert world.first[id] in next(f for f in seen["findings"] if f["code"] == "served_old")["observed"][0]["what"]
    opened = world.opened()
    world.stack.sync.start()
    for row in Row.all:
        if row.present:
            world.load(row, row.edges[0])
    world.load(world.inner, world.inner.edges[0])
    seen_ids = [i for i in world.ids if i != "no-zone"]
    wait_until("sync", lambda: int(world.stack.serial_served(NAME) or "0", 16) == int(world.serial("shop"), 16), 60 * patience, 0.3)
    world.stack.cli("endpoint", "verify", *world.ids)
    wait_until("all to be right", lambda: world.all_ok(seen_ids), 90 * patience, 0.5)
    wait_until("the alerts' end", lambda: not world.alerts(), 60 * patience, 0.5)
    assert world.opened() == opened == sorted([f"{r.id}/{r.code}" for r in WRONG] + [f"{i}/served_old" for i in ("inner", "shop", "wild")])
    for id in seen_ids:
        assert world.shown(id)["findings"] == []
        assert f"served/{id}/{world.serial(id)}" in world.said("certificate.served")
    world.stack.workers.pop().stop()  # whoever was inside leaves: nothing is known any more, and nobody is alarmed
    def unseen():
        world.stack.cli("endpoint", "verify", "inner")
        return world.shown("inner")["served"]["reason"] == "no_worker"
    wait_until("the worker to be missed", unseen, 60 * patience, 1)
    assert world.shown("inner")["served"]["status"] == "unknown" and not world.alerts()
    page = world.stack.cli("endpoint", "show", "inner").stdout
    assert "unknown: no worker of the endpoint's zone is there to look from inside" in page
