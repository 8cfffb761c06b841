"""http-01 as an authority asks it, through the customers' own front doors (doors.py): each thing that can be wrong there,
what is right in an unusual way, and hostile targets. Connections may go to 127.0.2.0/24 and ::1, and to 127.0.0.1 not."""
import itertools

import pytest
import yaml
from conftest import running_stack
from doors import (CDN, EDGE, FOREIGN, KEPT, LOST, NOBODY, OURS, PATH, SILENT, SLASHLESS, SWITCH, Door, Edge, drips,
                   gigabyte, headers_for_ever, passes_on, redirects, says_nothing)
from odd import OddServer
from servers import LOOPBACK, wait_until
from stack import CHALLENGE_ZONE
from zoo import Zoo

ZONE, TARGET = "doors.test", "edge.platform.test"
REBINDING = "127.0.1.19"
HUGE, HEADERS, EVER, DRIP, TO_META, TO_NAME, TO_PORT, REBOUND, TO_REBOUND = (f"127.0.2.{n}" for n in range(30, 39))
TRAPPED = ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "10.1.2.3"]


class Case:
    """An endpoint with one name and its addresses (to: the CNAME's target instead)."""

    all = []

    def __init__(self, id, at=(), code="", found="", fix="", actor="owner", http="unsure", to=None, says="the answer to the challenge",
                 kind="external", challenge=False, name=None):
        self.id, self.at, self.code, self.found, self.fix, self.actor, self.http = id, at, code, found, fix, actor, http
        self.to, self.says, self.kind, self.challenge = to, says, kind, challenge
        self.name = name or f"{id}.{ZONE}"
        Case.all.append(self)

    def records(self, stack):
        if self.to:
            yield self.name, "CNAME", self.to + "."
        for address in self.at:
            yield self.name, "AAAA" if ":" in address else "A", address
        if self.challenge:
            yield stack.challenge_cname(self.name)


WRONG = [
    Case("foreign", [FOREIGN], "probe_foreign", f"{FOREIGN}:%HTTP HTTP 404 (text/html)", f"Point %NAME at {TARGET}"),
    Case("our-own-edge", [], "probe_foreign", f"{OURS}:%HTTP HTTP 503", f"At {OURS}: route {PATH} to the workers", actor="operator",
         to="ours.platform.test"),
    Case("one-of-two", [CDN, FOREIGN], "probe_foreign", f"{FOREIGN}:%HTTP HTTP 404", f"at {FOREIGN} pass the path on"),
    Case("lost", [LOST], "probe_redirect", f"{LOST}:%HTTP HTTP 200 (text/html) at https://%NAME/",
         f"At {LOST}: answer {PATH} before any redirect"),
    Case("slashless", [SLASHLESS], "redirect_slash", f"{SLASHLESS}:%HTTP redirects to https://%NAME.well-known/",
         "https://%NAME/ instead of https://%NAME"),
    Case("refused", [NOBODY], "probe_refused", f"{NOBODY}:%HTTP connection refused", f"At {NOBODY}: let the web server listen"),
    Case("silent", [SILENT], "probe_timeout", f"{SILENT}:%HTTP a connection, but no whole answer in 10 s",
         f"At {SILENT}: open TCP port 80"),
    Case("six-closed", [CDN, "::1"], "aaaa_unreachable", "[::1]:%HTTP connection refused", "Remove: %NAME AAAA ::1",
         says="IPv6 addresses where port 80 answers, or none"),
]
FINE = [
    Case("fine-cdn", [CDN], http="can", challenge=True),
    Case("fine-https", [KEPT], http="can", challenge=True),
    Case("fine-six", [], http="can", to="six.platform.test", challenge=True),
    Case("fine-internal", ["10.0.0.7"], http="cannot", kind="internal", challenge=True),
]
HOSTILE = [
    Case("huge", [HUGE], "probe_foreign", "HTTP 200 (text/plain)", "pass the path on"),
    Case("headers", [HEADERS], "probe_foreign", "HTTP 200", "pass the path on"),
    Case("ever", [EVER], "probe_redirect", "over 10 redirects", "before any redirect"),
    Case("drip", [DRIP], "probe_timeout", "no whole answer in 10 s", "open TCP port 80"),
    Case("to-meta", [TO_META], "probe_redirect", "HTTP 302 to http://169.254.169.254/latest/: an address instead of a name",
         "before any redirect"),
    Case("to-name", [TO_NAME], "probe_redirect", "where 169.254.169.254 is metadata", "before any redirect"),
    Case("to-port", [TO_PORT], "probe_redirect", "another port than 80 and 443", "before any redirect"),
]
REFUSED = [Case(f"trap{i}", [address], "addresses_elsewhere", address, "is no address that the internet can reach",
                says=f"CNAME {TARGET}") for i, address in enumerate(TRAPPED)]
REBINDS = [Case("rebound", code="-", name="www.rebinding.test"), Case("to-rebound", [TO_REBOUND], code="-")]
ALERT = Case("switched", [SWITCH], code="-")


class Rebinding(OddServer):
    """Another address at each question: one that may be asked, and one that must not be."""

    def __init__(self, address, port, zone, answers):
        records = [(zone, "SOA", f"ns1.{zone}"), (zone, "NS", f"ns1.{zone}"), (f"ns1.{zone}", "A", address)]
        self.given, self.answers = {a: 0 for a in answers}, itertools.cycle(answers)
        self.name = f"www.{zone}"
        super().__init__(address, port, [zone], records + [(self.name, "A", answers[0])])

    def reply(self, packet, question, rcode, answers, authority):
        if [r[:2] for r in answers] == [(self.name, "A")]:
            address = next(self.answers)
            self.given[address] += 1
            answers = [(self.name, "A", address)]
        return OddServer.reply(packet, question, rcode, answers, authority)


@pytest.fixture(scope="module")
def stack():
    config = {"network": {"allow": ["127.0.1.0/24", "127.0.2.0/24", "::1"]},
              "scheduler": {"probe_every": "24h", "verify_every": "4s", "confirm_after": "2s"}}
    for stack in running_stack(workers=1, schedulers=1, sync=False, zoo=Zoo, config=config):
        stack.haproxy.stop()  # its place at 127.0.0.1 is where nobody must be sent
        port, responder = stack.haproxy.http_port, (LOOPBACK, stack.worker_ports[0][0])
        stack.edge = Edge(stack.path("edge"), port, stack.haproxy.https_port, responder, stack.haproxy.path("default.pem")).start()
        rebinding = f"http://www.rebinding.test{PATH}x"
        stack.doors = {address: Door(address, port, behave) for address, behave in (
            (LOOPBACK, says_nothing), (SILENT, says_nothing), (SWITCH, passes_on(responder)), (HUGE, gigabyte),
            (HEADERS, headers_for_ever), (EVER, redirects(lambda path: f"http://ever.{ZONE}{path}x")), (DRIP, drips),
            (TO_META, redirects(lambda path: "http://169.254.169.254/latest/")),
            (TO_NAME, redirects(lambda path: f"http://trap1.{ZONE}{path}")),
            (TO_PORT, redirects(lambda path: f"http://to-port.{ZONE}:8080{path}")),
            (REBOUND, passes_on(responder)), (TO_REBOUND, redirects(lambda path: rebinding)))}
        stack.rebinding = Rebinding(REBINDING, stack.zoo.port, "rebinding.test", [REBOUND, LOOPBACK])
        make_zones(stack)
        import_all(stack, [c for c in Case.all if c is not ALERT])
        yield stack
        stack.edge.stop()
        for aid in (stack.rebinding, *stack.doors.values()):
            aid.stop()


def make_zones(stack):
    stack.zoo.zone(ZONE)
    stack.zoo.delegate("rebinding.test", {"ns1.rebinding.test": [REBINDING]})
    stack.zoo.add((TARGET, "A", EDGE), ("ours.platform.test", "A", OURS), ("six.platform.test", "AAAA", "::1"))
    stack.zoo.add(*(r for c in Case.all if c.name.endswith(ZONE) for r in c.records(stack)))


def import_all(stack, cases):
    endpoints = [{"id": c.id, "names": [c.name], "type": c.kind, **({"target": c.to or TARGET} if c.kind == "external" else {})}
                 for c in cases]
    with open(stack.path("doors.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump({"endpoints": endpoints}, f)
    stack.cli("endpoint", "import", f.name)


def fill(stack, case, text):
    return text.replace("%HTTP", str(stack.haproxy.http_port)).replace("%NAME", case.name)


def shown(stack, case):
    return stack.cli_json("endpoint", "show", case.id)


def verdict(document):
    return document["dns"]["names"][0]["http-01"] if document["dns"] else None


def finding(stack, case, patience):
    """The document and the finding, once it is there with its verdict."""
    def there():
        document = shown(stack, case)
        found = [f for f in document["findings"] if f["code"] == case.code]
        return (document, found[0]) if found and verdict(document) == case.http else None
    try:
        return wait_until(f"{case.code} and its verdict", there, 40 * patience, 0.5)
    except Exception:
        print(stack.cli("endpoint", "show", case.id).stdout)
        raise


@pytest.mark.parametrize("case", WRONG + HOSTILE + REFUSED, ids=lambda c: c.id)
def test_what_is_wrong_is_said_exactly(stack, patience, case):
    if "::1" in case.at and not stack.zoo.six:
        pytest.skip("this machine has no ::1")
    document, found = finding(stack, case, patience)
    print(stack.cli("endpoint", "show", case.id).stdout)
    assert (found["actor"], found["severity"]) == (case.actor, "warning")
    assert case.says in found["expected"]
    said = [f"{o['server']} {o['what']}" for o in found["observed"]]
    assert any(fill(stack, case, case.found) in line for line in said), said
    assert fill(stack, case, case.fix) in "\n".join(found["fix"])
    assert case.code.startswith("addresses") or found["effect"]
    probes = [f["code"] for f in document["findings"] if "probe" in f["code"] or f["code"] in ("redirect_slash", "aaaa_unreachable")]
    assert probes == [] if case in REFUSED else probes == [case.code]


def test_every_address_is_told_apart(stack, patience):
    case = next(c for c in WRONG if c.id == "one-of-two")
    _, found = finding(stack, case, patience)
    port = stack.haproxy.http_port
    assert {o["server"]: o["what"] for o in found["observed"]} == {
        f"{FOREIGN}:{port}": "HTTP 404 (text/html)", f"{CDN}:{port}": "the answer to the challenge"}


def open_six(stack):
    if "::1" not in stack.doors:
        stack.doors["::1"] = Door("::1", stack.haproxy.http_port, passes_on((LOOPBACK, stack.worker_ports[0][0])))


@pytest.mark.parametrize("case", FINE, ids=lambda c: c.id)
def test_what_is_right_in_an_unusual_way_is_left_alone(stack, patience, case):
    if case.id == "fine-six":
        if not stack.zoo.six:
            pytest.skip("this machine has no ::1")
        open_six(stack)
    stack.cli("endpoint", "verify", case.id)

    def right():
        document = shown(stack, case)
        ours = [f for f in document["findings"] if f["severity"] != "info"]
        return not ours and document["dns"]["deep"] and verdict(document) == case.http
    try:
        wait_until("nothing to be wrong", right, 40 * patience, 0.5)
    except Exception:
        print(stack.cli("endpoint", "show", case.id).stdout)
        raise


def test_what_was_closed_and_is_open_again_is_no_finding_any_more(stack, patience):
    if not stack.zoo.six:
        pytest.skip("this machine has no ::1")
    case = next(c for c in WRONG if c.id == "six-closed")
    open_six(stack)
    wait_until("the finding's end", lambda: verdict(shown(stack, case)) == "can"
               and not [f for f in shown(stack, case)["findings"] if f["code"] == case.code], 40 * patience, 0.5)


def test_nobody_was_sent_where_nobody_may_be_sent(stack, patience):
    """Names that resolve to forbidden addresses, and one whose address changes at each question."""
    for case in REFUSED:
        finding(stack, case, patience)
    wait_until("both answers to be given, and the allowed one to be asked", lambda: all(
        n >= 4 for n in stack.rebinding.given.values()) and stack.doors[REBOUND].connections >= 2
        and stack.doors[TO_REBOUND].connections >= 2, 60 * patience, 0.5)
    assert stack.doors[LOOPBACK].connections == 0


def test_answers_without_an_end_cost_little(stack, patience):
    for id in ("huge", "headers", "ever"):
        finding(stack, next(c for c in HOSTILE if c.id == id), patience)
    wait_until("several looks", lambda: min(stack.doors[a].connections for a in (HUGE, HEADERS)) >= 3, 60 * patience, 0.5)
    # What was sent is what the sockets' buffers took: the worker reads no more than 64 KiB of it.
    assert 0 < stack.doors[HUGE].most < 16 << 20 and 0 < stack.doors[HEADERS].most < 16 << 20
    if patience == 1:  # sanitizers have their own idea of memory
        assert stack.workers[0].rss_bytes() < 64 << 20


def alert_of(stack, case, code):
    return next((a for a in stack.cli_json("alerts")["alerts"] if a["endpoint"] == case.id and a["condition"] == code), None)


def test_an_alert_opens_and_ends(stack, patience):
    """What stands in front passes challenges on, which is enough for a certificate; then it does so no more."""
    stack.zoo.add((f"_certfleet.{ALERT.name}", "TXT", stack.label(ALERT.name)))
    import_all(stack, [ALERT])
    stack.wait_states("active", [ALERT.id], 60 * patience)
    document = shown(stack, ALERT)
    assert verdict(document) == "can" and [f["severity"] for f in document["findings"] if f["code"] == "cdn_in_front"] == ["info"]
    orders = stack.pebble.orders_added()
    stack.doors[SWITCH].open = False
    stack.cli("endpoint", "verify", ALERT.id)
    alert = wait_until("the alert", lambda: alert_of(stack, ALERT, "probe_foreign"), 40 * patience, 0.5)
    print(alert)
    assert alert["actor"] == "owner" and document["certificate"]["renew_at"] in alert["text"] and "HTTP 200" in alert["text"]
    assert TARGET in alert["fix"]
    stack.doors[SWITCH].open = True
    wait_until("its end", lambda: not alert_of(stack, ALERT, "probe_foreign"), 40 * patience, 0.5)
    assert verdict(shown(stack, ALERT)) == "can" and stack.pebble.orders_added() == orders
