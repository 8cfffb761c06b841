"""The zoo's own servers: what its resolver says of each zone is what the zone was made to be, and a certificate is issued
to a name in it."""
import re

import pytest
from conftest import running_stack
from zoo import Zoo


@pytest.fixture(scope="module")
def stack():
    yield from running_stack(workers=1, schedulers=1, sync=False, zoo=Zoo)


@pytest.fixture(scope="module")
def zoo(stack):
    zoo = stack.zoo
    with zoo.batch():
        zoo.zone("plain.test", records=["www A 192.0.2.1"])
        zoo.zone("safe.test", on=("a",), signed=True, records=["www A 192.0.2.1"])
        zoo.zone("bogus.test", on=("a",), signed=True, ds="wrong", records=["www A 192.0.2.1"])
        zoo.zone("left.test", ds="stale", records=["www A 192.0.2.1"])
        zoo.zone("half.test", servers={"ns1.half.test": ["127.0.1.11"], "ns2.half.test": [zoo.silent]}, on=("a",),
                 records=["www A 192.0.2.1"])
        zoo.zone("cut.test", servers={"ns1.cut.test": [zoo.no_tcp]}, on=("a",), records=["www A 192.0.2.1"])
        zoo.delegate("lame.test", {"ns1.lame.test": ["127.0.1.12"]})
        zoo.delegate("lost.test", {"ns1.gone-for-good.test": []})
        if zoo.six:
            zoo.zone("six.test", on=("six",), records=["www A 192.0.2.1"])
    zoo.zone("sub.plain.test", records=["www A 192.0.2.1"])
    return zoo


FINE, SIGNED, BROKEN = "NOERROR", "NOERROR ad", "SERVFAIL"
ZONES = (("plain.test", FINE), ("safe.test", SIGNED), ("bogus.test", BROKEN), ("left.test", BROKEN), ("half.test", FINE),
         ("cut.test", BROKEN), ("lame.test", BROKEN), ("lost.test", BROKEN), ("sub.plain.test", FINE), ("six.test", FINE))


@pytest.mark.parametrize("zone, expected", ZONES, ids=[z for z, _ in ZONES])
def test_zone(zoo, zone, expected):
    if zone == "six.test" and not zoo.six:
        pytest.skip("this machine has no ::1")
    text = zoo.ask(f"www.{zone}", "A")
    status = re.search(r"status: (\w+)", text)[1]
    flags = re.search(r"flags: ([^;]*)", text)[1].split()
    assert status + (" ad" if "ad" in flags else "") == expected, text
    assert ("192.0.2.1" in text) == (expected != BROKEN)


def test_two_servers_disagree(zoo):
    zoo.add(("two.plain.test", "A", "192.0.2.7"), on=("a",))
    zoo.add(("two.plain.test", "A", "192.0.2.8"), on=("b",))
    assert "192.0.2.7" in zoo.a.dig("two.plain.test", "A") and "192.0.2.8" in zoo.b.dig("two.plain.test", "A")
    zoo.remove(("two.plain.test", "A"), on=("b",))
    assert "NXDOMAIN" in zoo.b.dig("two.plain.test", "A")


def test_a_certificate_is_issued(stack, zoo, patience):
    """By dns-01, through the delegation of the challenge zone down from the root."""
    zoo.add(stack.challenge_cname("www.safe.test"))
    stack.cli("endpoint", "add", "www.safe.test", "--type", "internal", "--id", "safe")
    stack.wait_states("active", ["safe"], 60 * patience)
    assert "ns1.acme.platform.test" in zoo.ask("acme.platform.test", "NS")
