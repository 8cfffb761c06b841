"""Two hundred endpoints at once, and the same with a worker killed in the middle."""
import json

import pytest
from conftest import running_stack
from servers import wait_until
from stack import TARGET

N = 200


@pytest.fixture
def fleet():
    """Without an edge to feed: what counts is the authority's own book."""
    yield from running_stack(sync=False)


def endpoints():
    """Half external, by http-01, their tenant proven by a TXT; half internal, by dns-01."""
    out = []
    for i in range(N):
        if i % 2:
            out.append({"id": f"in{i}", "names": [f"in{i}.internal.test"], "type": "internal", "tenant": f"t{i % 7}"})
        else:
            out.append({"id": f"ex{i}", "names": [f"ex{i}.example.test"], "type": "external", "target": TARGET,
                        "tenant": f"t{i % 7}"})
    return out


def import_all(stack):
    what = endpoints()
    records = []
    for e in what:
        name, tenant = e["names"][0], e["tenant"]
        if e["type"] == "external":
            records += [(name, "CNAME", TARGET + "."), (f"_certfleet.{name}", "TXT", stack.label(name, tenant))]
        else:
            records.append(stack.challenge_cname(name, tenant))
    stack.knot.add(*records)
    path = stack.path("import.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("endpoints:\n" + "".join(f"  - {json.dumps(e)}\n" for e in what))
    stack.cli("endpoint", "import", path, timeout=120)
    return [e["id"] for e in what]


def assert_one_certificate_each(stack, ids):
    certificates = stack.certificates()
    assert len(certificates) == len(ids)
    more = {names: serials for names, serials in certificates.items() if len(serials) != 1}
    assert not more, "names with more than one certificate"


def test_200_at_once_take_one_order_each(fleet, patience):
    ids = import_all(fleet)
    fleet.wait_states("active", ids, 150 * patience)
    assert_one_certificate_each(fleet, ids)
    assert fleet.pebble.orders_added() == N


def test_a_worker_killed_in_the_middle_costs_nothing(fleet, patience):
    ids = import_all(fleet)
    wait_until("a third of the certificates", lambda: len(fleet.pebble.serials()) >= N // 3, 100 * patience, 0.05)
    fleet.workers[0].kill()
    assert len(fleet.pebble.serials()) < N, "it was killed too late to prove anything"
    fleet.wait_states("active", ids, 200 * patience)
    assert_one_certificate_each(fleet, ids)
