"""Everything that can be wrong with a customer's DNS, on real servers: each code with who must act, what was expected and
found, the edit, and the verdict; and what is right in unusual ways, of which nothing above `info` is said.

One stack, one import, and assertions on what the fleet then says. The zones are the servers' of zoo.py; what no sane
server does is odd.py's.
"""
import datetime
import subprocess

import pytest
import yaml
from conftest import running_stack
from odd import Gate, OddServer, Spoiler
from servers import LOOPBACK, free_port, wait_until
from stack import CHALLENGE_ZONE, TARGET
from zoo import A, B, Zoo

OLD_ZONE = "old.platform.test"
ODD, SPOILT = "127.0.1.17", "127.0.1.18"
IDENTITY = "pebble.test"


class Case:
    """A zone, what is in it, an endpoint, and what is to be said of it."""

    all = []

    def __init__(self, code, records=(), dns="cannot", http="cannot", says="", found="", fix="", actor="owner", kind="internal",
                 host="www", names=None, zone=None, severity="warning", tenant="default", make=True, id=None,
                 asked=False):
        self.code, self.id = code, id or code.replace("_", "-")
        self.apex = f"{self.id.replace('-', '')}.test"
        self.host = f"{host}.{self.apex}" if host else self.apex
        self.names = [n.replace("@", self.apex) for n in names] if names else [self.host]
        self.records, self.zone, self.make, self.asked = records, zone or {}, make, asked
        self.dns, self.http, self.kind, self.tenant = dns, http, kind, tenant
        self.actor, self.severity, self.says, self.found, self.fix = actor, severity, says, found, fix
        Case.all.append(self)

    @property
    def owner(self):
        return f"_acme-challenge.{self.host}"

    def wanted(self, stack):
        return f"{stack.label(self.host, self.tenant)}.{CHALLENGE_ZONE}"


WANTED, TO = "%WANTED", f"{TARGET}."
TRAFFIC = ("%HOST", "CNAME", TO)
RIGHT = ("%OWNER", "CNAME", "%WANTED.")

Case("record_missing", found="NXDOMAIN", says=WANTED, fix="Create: %OWNER CNAME %WANTED")
Case("cname_elsewhere", [("%OWNER", "CNAME", "elsewhere.platform.test.")], found="CNAME elsewhere.platform.test", says=WANTED,
     fix="Change it to: %OWNER CNAME %WANTED")
Case("cname_typo", [("%OWNER", "CNAME", "%LABEL.acme.platfrom.test.")], found="platfrom", says=WANTED, fix="Change it to")
Case("label_not_yours", [("%OWNER", "CNAME", f"%OTHER.{CHALLENGE_ZONE}.")], found="CNAME %OTHER", says=WANTED,
     fix="Change it to")
Case("label_old", [("%OWNER", "CNAME", f"%LABEL.{OLD_ZONE}.")], found=OLD_ZONE, says=WANTED, fix=CHALLENGE_ZONE, dns="can",
     severity="info")
Case("target_doubled", [("%OWNER", "CNAME", "%WANTED.%APEX.")], found="%WANTED.%APEX", says=WANTED, fix="ends with a dot")
Case("name_doubled", [("%OWNER.%APEX", "CNAME", "%WANTED.")], found="%OWNER.%APEX CNAME", says=WANTED,
     fix="Then remove %OWNER.%APEX")
Case("name_typo", [("_acme-challange.%HOST", "CNAME", "%WANTED.")], found="_acme-challange.%HOST CNAME", says=WANTED,
     fix="Then remove _acme-challange.%HOST")
Case("wrong_type", [("%OWNER", "TXT", "%WANTED")], found="TXT %WANTED", says=WANTED, fix="Remove the TXT")
Case("txt_shadows", [("%OWNER", "TXT", "an-old-challenge")], found="TXT an-old-challenge", says=WANTED, fix="Remove the TXT")
Case("cname_beside_others", found="TXT beside", says=WANTED, fix="Remove the TXT records of %OWNER", dns="unsure", make=False)
Case("challenge_delegated", found="no such record", says=WANTED, fix="Remove the NS records of %OWNER")
Case("cname_loop", [("%OWNER", "CNAME", "x.%APEX."), ("x.%APEX", "CNAME", "%OWNER.")], found="CNAME x.%APEX", says=WANTED,
     fix="Change it to")
Case("chain_long", [("%OWNER", "CNAME", "h0.%APEX.")] + [(f"h{i}.%APEX", "CNAME", f"h{i + 1}.%APEX.") for i in range(12)],
     found="CNAME h0.%APEX", says=WANTED, fix="Change it to")
Case("wildcard_answers", [TRAFFIC, ("*.%HOST", "CNAME", "elsewhere.platform.test.")], kind="external", http="can",
     found="CNAME elsewhere", says=WANTED, fix="Create: %OWNER CNAME %WANTED")
Case("wildcard_would_hide", [("*.%APEX", "CNAME", TO)], kind="external", http="can", found=f"CNAME {TARGET}", says=WANTED,
     fix="First give %HOST a record of its own")
Case("apex_cname", kind="external", host="", http="can", dns="can", found=f"CNAME {TARGET}", says=f"the addresses of {TARGET}",
     fix="create an ALIAS or ANAME", make=False)
Case("addresses_elsewhere", [RIGHT, ("%HOST", "A", "192.0.2.80")], kind="external", http="unsure", dns="can",
     found="A 192.0.2.80", says=f"CNAME {TARGET}", fix="Remove the A and AAAA records of %HOST")
Case("addresses_mixed", [RIGHT, ("%HOST", "A", LOOPBACK), ("%HOST", "A", "192.0.2.80")], kind="external", http="unsure",
     dns="can", found="192.0.2.80", says=f"CNAME {TARGET}", fix=f"that are not addresses of {TARGET}")
Case("aaaa_elsewhere", [RIGHT, ("%HOST", "A", LOOPBACK), ("%HOST", "AAAA", "2001:db8::bad")], kind="external", http="unsure",
     dns="can", found="AAAA 2001:db8::bad", says=f"CNAME {TARGET}", fix="Remove the AAAA records of %HOST")
Case("cdn_in_front", [RIGHT, ("%HOST", "A", "104.16.1.2")], kind="external", http="unsure", dns="can", actor="nobody",
     severity="info", found="104.16.1.2", says=TARGET, fix="Nothing, if Cloudflare fetches from")
Case("servers_disagree", dns="unsure", found="CNAME %WANTED", says="at each server", fix="wait until the change is at each")
Case("lame_server", [RIGHT], dns="can", asked=True, zone={"on": ("a",), "servers": {"ns1.%APEX": [A], "ns2.%APEX": [B]}},
     found="it does not serve the zone", says="the same answer", fix="ns2.%APEX")
Case("lame_delegation", dns="unsure", make=False, severity="critical", found="it does not serve the zone",
     says="the same answer", fix="At the registrar")
Case("ns_dangling", [RIGHT], dns="can", asked=True, zone={"on": ("a",), "servers": {"ns1.%APEX": [A], "ns.gone-for-good.test": []}},
     found="no address", says="addresses of a name server", fix="Remove ns.gone-for-good.test")
Case("servers_silent", dns="unsure", make=False, found="no answer", says="the same answer", fix="answer the whole world")
Case("tcp_refused", [RIGHT], dns="can", asked=True, zone={"on": ("a",), "servers": {"ns1.%APEX": [Zoo.no_tcp], "ns2.%APEX": [A]}},
     found="TCP refused", says="the same answer", fix="Open TCP port 53 at ns1.%APEX")
Case("nxdomain", dns="cannot", make=False, severity="critical", found="NXDOMAIN", says="a registered domain",
     fix="Register %APEX")
Case("servfail", [RIGHT], dns="unsure", found="SERVFAIL", says=WANTED, fix="DNS checker")
Case("dnssec_bogus", [RIGHT], severity="critical", zone={"on": ("a",), "signed": True, "servers": {"ns1.%APEX": [SPOILT]}},
     found="DNSSEC validation failed", says="valid signatures", fix="sign %APEX anew")
Case("dnssec_ds", [RIGHT], severity="critical", zone={"on": ("a",), "signed": True, "ds": "wrong"},
     found="a DS that fits none of the zone's keys", says="no DS, or one that fits", fix="remove the DS record of %APEX")
Case("caa_forbids", [RIGHT, ("%APEX", "CAA", "0 issue other.test")], dns="can", severity="critical",
     found='CAA 0 issue "other.test"', says=f'0 issue "{IDENTITY}"', fix=f'Add: %APEX CAA 0 issue "{IDENTITY}"')
Case("caa_wildcard", [RIGHT], zone={"records": [f'@ CAA 0 issue "{IDENTITY}"', '@ CAA 0 issuewild ";"']}, host="", dns="can", names=["*.@"], severity="critical", found="issuewild", says=f'0 issuewild "{IDENTITY}"',
     fix=f'Add: %APEX CAA 0 issuewild "{IDENTITY}"')
Case("caa_account", [RIGHT], dns="can", zone={"records": [f'@ CAA 0 issue "{IDENTITY}; accounturi=https://ca.test/1"']},
     severity="critical", found="accounturi=https://ca.test/1", says=f'0 issue "{IDENTITY}"', fix="Change it to: %APEX CAA")
Case("caa_critical", [RIGHT, ("%APEX", "CAA", "128 tbs unknown")], dns="can", severity="critical", found="CAA 128 tbs",
     says=IDENTITY, fix="Remove the critical CAA property of %APEX")
Case("caa_unreadable", dns="can", make=False, found="SERVFAIL", says=IDENTITY, fix="answer questions for CAA")
Case("split_view", [RIGHT], dns="can", severity="info", actor="operator", found="CNAME elsewhere.platform.test",
     says="the same answer as in public DNS", fix="resolver.servers")
Case("held_elsewhere", tenant="second", severity="critical", names=["www.heldelsewhere.test"],
     says=WANTED, fix="point _acme-challenge.www.heldelsewhere.test CNAME at")

FINE = [
    Case("", [RIGHT, ("%HOST", "A", LOOPBACK)], id="fine-apex-alias", kind="external", host="", dns="can", http="can"),
    Case("", [("%OWNER", "CNAME", "c1.%APEX."), ("c1.%APEX", "CNAME", "c2.%APEX."), ("c2.%APEX", "CNAME", "%WANTED."),
              ("%HOST", "CNAME", "t1.%APEX."), ("t1.%APEX", "CNAME", TO)],
         id="fine-chains", kind="external", dns="can", http="can"),
    Case("", [RIGHT], id="fine-wildcard-beside-base", host="", names=["@", "*.@"], dns="can"),
    Case("", [RIGHT, TRAFFIC], id="fine-long-ttl", kind="external", zone={"ttl": 86400}, dns="can", http="can"),
    Case("", [RIGHT, TRAFFIC], id="fine-signed", kind="external", zone={"on": ("a",), "signed": True}, dns="can", http="can"),
    Case("", [("_acme-challenge.www.real.%APEX", "CNAME", "%WANTED."), ("www.real.%APEX", "CNAME", TO),
              ("sub.%APEX", "DNAME", "real.%APEX.")],
         id="fine-dname", kind="external", host="www.sub", dns="can", http="can"),
    Case("", [RIGHT], id="fine-ipv6-only", zone={"on": ("six",)}, dns="can"),
    Case("", [RIGHT, ("%HOST", "A", "151.101.1.2")], id="fine-cdn", kind="external", dns="can", http="unsure"),
    Case("", [RIGHT, ("%HOST", "A", "10.0.0.7")], id="fine-private", dns="can"),
    Case("", [("_acme-challenge.%APEX", "CNAME", "%WANTED."), ("*.%APEX", "CNAME", TO)], id="fine-wildcard", kind="external",
         host="", names=["*.@"], dns="can"),
    Case("", [RIGHT, ("%HOST", "CNAME", "%APEX."), ("%APEX", "A", LOOPBACK)], id="fine-www-to-apex", kind="external",
         dns="can", http="can"),
    Case("", [RIGHT, ("%APEX", "CAA", f"0 issue {IDENTITY}"), ("%APEX", "CAA", "0 iodef mailto:caa@owner.test")],
         id="fine-caa", dns="can"),
    Case("", [("%OWNER", "CNAME", "%WANTED."), ("%APEX", "TXT", "v=spf1"), ("%HOST", "AAAA", "fd00::7")],
         id="fine-other-records", dns="can"),
]
BROKEN = [c for c in Case.all if c.code]


def fill(stack, case, text):
    for word, value in (("%WANTED", case.wanted(stack)), ("%LABEL", stack.label(case.host, case.tenant)),
                        ("%OTHER", stack.label(case.host, "somebody-else")), ("%OWNER", case.owner),
                        ("%HOST", case.host), ("%APEX", case.apex)):
        text = text.replace(word, value)
    return text


def add_records(stack, case):
    records = [tuple(fill(stack, case, part) for part in r) for r in case.records]
    if records:
        stack.zoo.add(*records)


def make_zones(stack):
    zoo = stack.zoo
    with zoo.batch():
        for case in Case.all:
            if case.make and not ("six" in case.zone.get("on", ()) and not zoo.six):
                zone = dict(case.zone)
                if "servers" in zone:
                    zone["servers"] = {fill(stack, case, ns): a for ns, a in zone["servers"].items()}
                zoo.zone(case.apex, **zone)
        zoo.delegate("lamedelegation.test", {"ns1.lamedelegation.test": [B]})
        zoo.delegate("serverssilent.test", {"ns1.serverssilent.test": [zoo.silent]})
        for odd in ("cnamebesideothers.test", "apexcname.test", "caaunreadable.test"):
            zoo.delegate(odd, {f"ns1.{odd}": [ODD]})
        zoo.delegate(OLD_ZONE, {ns: [host] for ns, host, _ in stack.nameservers()})
    zoo.zone("_acme-challenge.www.challengedelegated.test", on=("b",))
    for case in Case.all:
        add_records(stack, case)
    disagree = next(c for c in BROKEN if c.code == "servers_disagree")
    zoo.add((disagree.owner, "CNAME", disagree.wanted(stack) + "."), on=("a",))


def odd_server(stack):
    def wanted(host):
        return f"{stack.label(host)}.{CHALLENGE_ZONE}"
    records = []
    for zone in ("cnamebesideothers.test", "apexcname.test", "caaunreadable.test"):
        records += [(zone, "SOA", f"ns1.{zone}"), (zone, "NS", f"ns1.{zone}"), (f"ns1.{zone}", "A", ODD)]
    beside = "_acme-challenge.www.cnamebesideothers.test"
    records += [(beside, "CNAME", wanted("www.cnamebesideothers.test")), (beside, "TXT", "beside"),
                ("apexcname.test", "CNAME", TARGET), ("_acme-challenge.apexcname.test", "CNAME", wanted("apexcname.test")),
                ("_acme-challenge.www.caaunreadable.test", "CNAME", wanted("www.caaunreadable.test"))]
    return OddServer(ODD, stack.zoo.port, ["cnamebesideothers.test", "apexcname.test", "caaunreadable.test"], records,
                     failing=[("www.caaunreadable.test", "CAA"), ("caaunreadable.test", "CAA")])


def unbound(stack, *args):
    done = subprocess.run(["unbound-control", "-c", stack.zoo.resolver.path("unbound.conf"), *args], capture_output=True,
                          text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr


def mislead_resolver(stack):
    unbound(stack, "stub_add", "servfail.test.", f"{Zoo.nobody}@{stack.zoo.port}")
    unbound(stack, "local_data", "_acme-challenge.www.splitview.test. 60 IN CNAME elsewhere.platform.test.")


def import_all(stack, cases):
    path = stack.path("zoo.yaml")
    endpoints = [{"id": c.id, "names": c.names, "type": c.kind, "tenant": c.tenant,
                  **({"target": TARGET} if c.kind == "external" else {})} for c in cases]
    with open(path, "w", encoding="utf-8") as f:
        yaml.safe_dump({"endpoints": endpoints}, f)
    stack.cli("endpoint", "import", path, timeout=120)


@pytest.fixture(scope="module")
def gate_port():
    return free_port()


@pytest.fixture(scope="module")
def zoo(gate_port):
    config = {"challenges": {"zones": [CHALLENGE_ZONE, OLD_ZONE]},
              "scheduler": {"confirm_after": "2s", "verify_fast": "1s", "verify_every": "4s"}}
    aids = []

    def at_gate(folder):
        made = Zoo(folder)
        usual = made.config
        made.config = lambda: {**usual(), "resolver": {**usual()["resolver"], "servers": [f"{LOOPBACK}:{gate_port}"],
                                                       "timeout": "2s"}}
        aids.append(Gate(LOOPBACK, gate_port, (LOOPBACK, made.resolver.port)))
        return made
    for stack in running_stack(workers=1, schedulers=1, sync=False, zoo=at_gate, config=config):
        stack.gate = aids[0]
        aids.append(Spoiler(SPOILT, stack.zoo.port, A))
        aids.append(odd_server(stack))
        make_zones(stack)
        mislead_resolver(stack)
        Case("", [RIGHT], id="holder", names=["www.heldelsewhere.test"], make=False)
        holder = Case.all.pop()
        stack.zoo.add(("_acme-challenge.www.heldelsewhere.test", "CNAME",
                       f"{stack.label('www.heldelsewhere.test')}.{CHALLENGE_ZONE}."))
        import_all(stack, [holder])
        stack.wait_states("active", ["holder"], 60)
        import_all(stack, Case.all)
        yield stack
        for aid in aids:
            aid.stop()


def shown(stack, case):
    return stack.cli_json("endpoint", "show", case.id)


def verdicts(document, name):
    one = next(n for n in document["dns"]["names"] if n["name"] == name)
    return one["dns-01"], one["http-01"]


@pytest.mark.parametrize("case", BROKEN, ids=[c.id for c in BROKEN])
def test_what_is_wrong_is_said_exactly(zoo, patience, case):
    if case.asked:  # what only the servers show is seen once a day, or when somebody asks
        zoo.wait_states("active", [case.id], 60 * patience)
        zoo.cli("endpoint", "verify", case.id)

    def there():
        document = shown(zoo, case)
        if not document["dns"]:
            return None
        found = [f for f in document["findings"] if (f["code"], f["severity"]) == (case.code, case.severity)]
        return (document, found[0]) if found and verdicts(document, case.names[0]) == (case.dns, case.http) else None
    try:
        document, finding = wait_until(f"{case.code} and its verdict", there, 40 * patience, 0.5)
    except Exception:
        print(zoo.cli("endpoint", "show", case.id).stdout)
        raise
    print(zoo.cli("records", case.id).stdout)
    assert finding["actor"] == case.actor and finding["severity"] == case.severity
    assert fill(zoo, case, case.says) in finding["expected"]
    said = [f"{o['server']} {o['what']}" for o in finding["observed"]]
    assert any(fill(zoo, case, case.found) in line for line in said) or not case.found, said
    assert fill(zoo, case, case.fix) in "\n".join(finding["fix"])


@pytest.mark.parametrize("case", FINE, ids=[c.id for c in FINE])
def test_what_is_right_in_an_unusual_way_is_left_alone(zoo, patience, case):
    if case.id == "fine-ipv6-only" and not zoo.zoo.six:
        pytest.skip("this machine has no ::1")
    zoo.wait_states("active", [case.id], 90 * patience)
    zoo.cli("endpoint", "verify", case.id)  # a person asks: each server is looked at
    document = wait_until("a deep look", lambda: (lambda d: d if d["dns"]["deep"] else None)(shown(zoo, case)), 30 * patience)
    assert [f for f in document["findings"] if f["severity"] != "info"] == []
    assert verdicts(document, case.names[0]) == (case.dns, case.http)


def alerts(stack):
    return {a["condition"]: a for a in stack.cli_json("alerts")["alerts"]}


def alert_of(stack, endpoint, code):
    return next((a for a in stack.cli_json("alerts")["alerts"] if a["endpoint"] == endpoint and a["condition"] == code), None)


def test_a_removed_record_is_an_alert_that_names_the_date(zoo, patience):
    case = next(c for c in FINE if c.id == "fine-other-records")
    zoo.wait_states("active", [case.id], 60 * patience)
    renew_at = shown(zoo, case)["certificate"]["renew_at"]
    orders = zoo.pebble.orders_added()
    zoo.zoo.remove((case.owner, "CNAME"))
    alert = wait_until("the alert", lambda: alert_of(zoo, case.id, "record_missing"), 40 * patience, 0.5)
    print(alert)
    due = datetime.datetime.fromisoformat(renew_at.replace("Z", "+00:00")).timestamp()
    assert renew_at in alert["text"] and "will fail" in alert["text"] and alert["deadline"] == round(due * 1000)
    assert alert["actor"] == "owner" and f"{case.owner} CNAME {case.wanted(zoo)}" in alert["fix"]
    zoo.zoo.add((case.owner, "CNAME", case.wanted(zoo) + "."))
    wait_until("its end", lambda: not alert_of(zoo, case.id, "record_missing"), 40 * patience, 0.5)
    assert zoo.pebble.orders_added() == orders


def test_what_nothing_explains_is_the_authoritys(zoo, patience):
    name = "www.disagrees.test"
    zoo.zoo.zone("disagrees.test")
    unbound(zoo, "local_zone", f"_acme-challenge.{name}.", "typetransparent")
    unbound(zoo, "local_data", f"_acme-challenge.{name}. 1 IN TXT wrong")
    zoo.zoo.add(zoo.challenge_cname(name))
    zoo.cli("endpoint", "add", name, "--type", "internal", "--id", "disagrees")
    document = wait_until("the failure", lambda: (lambda d: d if d["issuance"]["failures"] else None)(
        zoo.cli_json("endpoint", "show", "disagrees")), 60 * patience, 0.5)
    assert document["issuance"]["code"] == "ca_disagrees" and document["issuance"]["actor"] == "authority"
    assert "Correct value not found" in document["issuance"]["detail"]
    assert [n["dns-01"] for n in document["dns"]["names"]] == ["can"]


def test_when_our_own_resolver_breaks_nothing_turns_bad(zoo, patience):
    fine = [c for c in FINE if c.id not in ("fine-ipv6-only", "fine-dname", "fine-chains")]
    zoo.wait_states("active", [c.id for c in fine], 60 * patience)
    before = {c.id: verdicts(shown(zoo, c), c.names[0]) for c in fine}
    open_before = {a["key"] for a in zoo.cli_json("alerts")["alerts"]}
    zoo.gate.open = False
    try:
        wait_until("the operator's alert", lambda: "resolver_broken" in alerts(zoo), 60 * patience, 0.5)
        blind = wait_until("a blind look", lambda: (lambda d: d if [f for f in d["findings"] if f["code"] == "our_outage"]
                                                    else None)(shown(zoo, fine[0])), 60 * patience, 0.5)
        finding = next(f for f in blind["findings"] if f["code"] == "our_outage")
        assert finding["actor"] == "operator" and finding["fix"] and finding["expected"]
        # A new endpoint can by what its servers say alone, and is issued; a renewal that is asked for is tried.
        zoo.zoo.zone("certain.test")
        zoo.zoo.add(zoo.challenge_cname("www.certain.test"))
        zoo.cli("endpoint", "add", "www.certain.test", "--type", "internal", "--id", "certain")
        zoo.wait_states("active", ["certain"], 90 * patience)
        serial = shown(zoo, fine[0])["certificate"]["serial"]
        zoo.cli("endpoint", "renew", fine[0].id)
        wait_until("a renewal", lambda: shown(zoo, fine[0])["certificate"]["serial"] != serial, 90 * patience, 0.5)
        after = {c.id: verdicts(shown(zoo, c), c.names[0]) for c in fine}
        worse = {k: (before[k], v) for k, v in after.items() if v[0] == "cannot"}
        assert not worse
        # The CA's resolver is another: what fails there, such as `servfail`, may go on failing.
        new = {a["key"] for a in zoo.cli_json("alerts")["alerts"] if a["condition"] != "ca_disagrees"} - open_before
        assert new == {"fleet/resolver_broken"}
    finally:
        zoo.gate.open = True
    wait_until("the alert's end", lambda: "resolver_broken" not in alerts(zoo), 90 * patience, 0.5)


def test_our_own_zone(zoo, patience):
    ds = (CHALLENGE_ZONE, "DS", f"12345 13 2 {'AB' * 32}")
    servers = [(CHALLENGE_ZONE, "NS", f"{ns}.") for ns, *_ in zoo.nameservers()]
    for code, spoil, mend in (("zone_ds", lambda: zoo.zoo.add(ds), lambda: zoo.zoo.remove(ds)),
                              ("zone_not_delegated",
                               lambda: zoo.zoo.remove(*servers), lambda: zoo.zoo.add(*servers))):
        assert code not in alerts(zoo)
        spoil()
        alert = wait_until(f"the alert {code}", lambda: alerts(zoo).get(code), 60 * patience, 0.5)
        assert alert["actor"] == "operator" and alert["fix"]
        mend()
        wait_until("its end", lambda: code not in alerts(zoo), 60 * patience, 0.5)
