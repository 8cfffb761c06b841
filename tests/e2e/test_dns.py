"""dig against the builtin DNS server: the rules of the challenge zone, with the answers seen."""
import re
import socket
import struct
import subprocess

import pytest
from conftest import running_stack
from servers import LOOPBACK, wait_until
from stack import CHALLENGE_ZONE as ZONE


@pytest.fixture(scope="module")
def server():
    """An authority that validates slowly, so that challenges can be looked at."""
    yield from running_stack(sync=False, pebble={"sleep": True})


def dig(stack, *args, worker=0):
    port = stack.worker_ports[worker][1]
    return subprocess.run(["dig", f"@{LOOPBACK}", "-p", str(port), "+tries=1", "+time=3", "+norecurse", *args],
                          capture_output=True, text=True, check=False, timeout=20).stdout


def facts(text):
    """What matters of dig's output, on one line."""
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r";; flags: ([^;]*);", text)
    sections = {s: re.search(rf"{s}: (\d+)", text) for s in ("ANSWER", "AUTHORITY", "ADDITIONAL")}
    records = [" ".join(line.split()) for line in text.splitlines() if line and not line.startswith(";")]
    return "{} [{}] {}{}{}".format(
        status[1] if status else "NO ANSWER", flags[1].strip() if flags else "",
        "/".join(m[1] if m else "-" for m in sections.values()), " opt" if "OPT PSEUDOSECTION" in text else "",
        " | " + " ; ".join(records[:3]) if records else "")


LABEL = "a" * 26

# what is asked                                       what must be in the line of facts       what must not
RULES = (
    ("SOA at the apex", (ZONE, "SOA"), ("NOERROR", "qr aa", " SOA "), ("ra",)),
    ("NS at the apex, with addresses", (ZONE, "NS"), ("NOERROR", f"ns1.{ZONE}.", f"ns2.{ZONE}."), ()),
    ("a name server's address", (f"ns1.{ZONE}", "A"), ("NOERROR", "qr aa", f"IN A {LOOPBACK}"), ()),
    ("a name server's other types", (f"ns1.{ZONE}", "TXT"), ("NOERROR", " 0/1/", " SOA "), ()),
    ("no data at the apex", (ZONE, "TXT"), ("NOERROR", " 0/1/", " SOA "), ()),
    ("a label with nothing", (f"{LABEL}.{ZONE}", "TXT"), ("NOERROR", "qr aa", " 0/1/", " SOA "), ("NXDOMAIN",)),
    ("any name below", (f"x.y.{ZONE}", "A"), ("NOERROR", " 0/1/", " SOA "), ("NXDOMAIN",)),
    ("AAAA below", (f"{LABEL}.{ZONE}", "AAAA"), ("NOERROR", " 0/1/"), ()),
    ("outside the zone", ("example.com", "A"), ("REFUSED",), (" SOA ",)),
    ("a parent of the zone", ("platform.test", "SOA"), ("REFUSED",), ()),
    ("a name that only ends alike", (f"not{ZONE}", "A"), ("REFUSED",), ()),
    ("CHAOS", ("version.bind", "TXT", "CH"), ("REFUSED",), ()),
    ("CHAOS inside the zone", (ZONE, "TXT", "CH"), ("REFUSED",), ()),
    ("ANY by RFC 8482", (ZONE, "ANY", "+notcp"), ("NOERROR", " 1/"), ()),
    ("NOTIFY", ("+opcode=NOTIFY", ZONE, "SOA"), ("NOTIMP",), ()),
    ("UPDATE", ("+opcode=UPDATE", ZONE, "SOA"), ("NOTIMP",), ()),
    ("an EDNS version from the future", ("+edns=9", "+noednsnegotiation", ZONE, "SOA"), ("BADVERS", " opt"), ()),
    ("OPT when asked", ("+edns=0", ZONE, "SOA"), ("NOERROR", " opt"), ()),
    ("no OPT when not asked", ("+noedns", ZONE, "SOA"), ("NOERROR",), (" opt",)),
    ("case is echoed", ("aCmE.PlaTForm.tEst", "SOA"), ("NOERROR", "aCmE.PlaTForm.tEst. "), ()),
    ("over TCP", ("+tcp", ZONE, "SOA"), ("NOERROR", "qr aa", " SOA "), ()),
    ("the other node", (ZONE, "SOA"), ("NOERROR", "qr aa", " SOA "), ()),
)


@pytest.mark.parametrize("rule", RULES, ids=[r[0].replace(" ", "-") for r in RULES])
def test_rule(server, rule):
    what, args, must, must_not = rule
    text = dig(server, *args, worker=1 if what == "the other node" else 0)
    line = facts(text)
    print(f"{what:<34} dig {' '.join(args):<60} {line}")
    for part in must:
        assert part in line, text
    for part in must_not:
        assert part not in line, text


def test_zone_transfers_are_refused(server):
    text = dig(server, ZONE, "AXFR")
    print(text)
    assert "Transfer failed" in text or "REFUSED" in text


def ask(stack, packet):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(packet, (LOOPBACK, stack.worker_ports[0][1]))
        try:
            return s.recv(4096)
        except TimeoutError:
            return None


QUESTION = b"".join(bytes([len(x)]) + x.encode() for x in ZONE.split(".")) + b"\0" + struct.pack(">HH", 6, 1)


@pytest.mark.parametrize("count", (0, 2))
def test_other_than_one_question_is_a_format_error(server, count):
    answer = ask(server, struct.pack(">HHHHHH", 77, 0, count, 0, 0, 0) + QUESTION * count)
    assert answer[:2] == b"\0\x4d" and answer[3] & 15 == 1


def test_hostile_packets_get_no_answer_or_an_error(server):
    head = struct.pack(">HHHHHH", 78, 0, 1, 0, 0, 0)
    for packet in (b"", b"\0", head[:11], head, head + b"\xc0\x0c\0\x10\0\x01", head + b"\x3f" + b"a" * 20,
                   head + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\x10\0\x01", b"\xff" * 512):
        answer = ask(server, packet)
        assert answer is None or answer[3] & 15 != 0
    # A response is never answered: two servers would talk for ever.
    assert ask(server, struct.pack(">HHHHHH", 79, 0x8000, 1, 0, 0, 0) + QUESTION) is None
    assert "NOERROR" in facts(dig(server, ZONE, "SOA"))


def test_base_and_wildcard_stand_side_by_side(server, patience):
    """Both values at one label, with a TTL of a second, from both nodes; and gone afterwards."""
    name = "side.internal.test"
    server.knot.add(server.challenge_cname(name))
    server.cli("endpoint", "add", name, f"*.{name}", "--type", "internal", "--id", "side")
    host = f"{server.label(name)}.{ZONE}"

    def both():
        texts = [dig(server, host, "TXT", worker=w) for w in (0, 1)]
        return texts if all(facts(t).startswith("NOERROR [qr aa] 2/") for t in texts) else None
    texts = wait_until("two TXT values", both, 30 * patience, 0.05)
    print(facts(texts[0]))
    values = re.findall(r"\s(\d+)\s+IN\s+TXT\s+\"([\w-]{43})\"", texts[0])
    assert len(values) == 2 and {ttl for ttl, _ in values} == {"1"} and values[0][1] != values[1][1]
    server.wait_states("active", ["side"], 60 * patience)
    wait_until("them to be gone", lambda: " 0/1/" in facts(dig(server, host, "TXT")), 10 * patience, 0.2)


def test_without_redis_it_fails_for_now_and_never_denies(server, patience):
    """NXDOMAIN or NODATA would be believed and kept."""
    server.redis.kill()
    text = wait_until("an answer", lambda: (lambda t: t if "status:" in t else None)(
        dig(server, f"{LABEL}.{ZONE}", "TXT")), 15 * patience, 0.2)
    assert "SERVFAIL" in facts(text)
    server.redis.start()
    wait_until("right answers again", lambda: "NOERROR" in facts(dig(server, f"{LABEL}.{ZONE}", "TXT")), 20 * patience, 0.2)
