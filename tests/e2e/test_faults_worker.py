"""The fault table, workers: killed at each step of an order, stopped beyond the lease, and how soon others go on."""
import signal

import pytest
from conftest import running_stack
from faults import (JobWorker, all_well, crash_points, happened, import_endpoints, internal, job, line_time, log_lines,
                    orders_of, row, step_line)
from servers import wait_until
from stack import TARGET

LEASE_S = 2
RESPONDERS = {"log": {"level": "debug"}, "worker": {"roles": ["http-01", "dns-01"], "lease": f"{LEASE_S}s"}}
ORDER_STEPS = ["make_key", "save_key", "new_order", "save_order", "read_order", "authorize", "barrier", "make_csr",
               "finalize", "poll_order", "download", "check_chain", "done"]
AUTHZ_STEPS = ["read", "publish", "hold", "await_visible", "answer", "poll", "unpublish", "over"]
# newOrder was answered, its URL not yet saved: the one instant that may cost an order.
COSTS_AN_ORDER = {"order-save_order"}


@pytest.fixture
def fleet():
    yield from running_stack(sync=False, pebble={"authz_reuse": 0}, config=RESPONDERS)


def run_workers(fleet, workers, done, seconds):
    """Until done(): whoever died by a point is started again. Gives how many died."""
    died = 0

    def step():
        nonlocal died
        for w in workers:
            if w.died():
                assert w.process.returncode == -signal.SIGKILL, w.log_tail()
                died += 1
                w.kill()
                w.start(wait=False)
        return done()
    wait_until("the fleet to end its work", step, seconds, 0.05)
    return died


def start(fleet, n, folder, **kwargs):
    workers = [JobWorker(fleet, f"jobs{i + 1}", folder=folder, **kwargs) for i in range(n)]
    fleet.workers += workers
    for w in workers:
        fleet._start(w, wait=False)
    return workers


def restarts_after(workers, endpoint, died_line):
    """Seconds from the line at which its worker died to the next start of its issue job."""
    lines = log_lines(workers, f"event=job_started endpoint={endpoint} queue=issue")
    later = [line_time(x) for x in lines if line_time(x) > line_time(died_line)]
    return later[0] - line_time(died_line)


def test_killed_at_every_step(fleet, patience):
    """One endpoint a step; one order at a time in a worker, so that nobody else's dies with it."""
    steps = [("order", s) for s in ORDER_STEPS] + [("authz", s) for s in AUTHZ_STEPS]
    points, what = [], []
    for i, (kind, step) in enumerate(steps):
        name = f"{kind}-{step}".replace("_", "-")
        points.append((f"{kind}-{step}", "kill", step_line(name, step, kind)))
        if step == "read_order":  # only a job that was begun before comes there
            points.append(("before-read_order", "kill", step_line(name, "authorize")))
        names = [f"{name}.internal.test"] + ([f"*.{name}.internal.test"] if step in ("hold", "over") else [])
        what.append({"id": name, "names": names, "type": "internal", "tenant": f"t{i % 3}"})
    folder = crash_points(fleet, points)
    workers = start(fleet, 4, folder)
    ids = import_endpoints(fleet, what)
    died = run_workers(fleet, workers, lambda: all(s == "active" for s in fleet.states().values()), 120 * patience)
    assert [name for name, _, _ in points if not happened(folder, name)] == []
    assert died == len(points)
    slowest = 0
    for (point, _, text), endpoint in [(p, next(i for i in ids if f"endpoint={i} " in p[2])) for p in points]:
        assert happened(folder, point), f"nobody came to {point}"
        died_line = log_lines(workers, text)[0]
        slowest = max(slowest, restarts_after(workers, endpoint, died_line))
        assert len(orders_of(workers, endpoint)) == 1 + (point in COSTS_AN_ORDER), point
        keys = len(log_lines(workers, step_line(endpoint, "make_key")))
        assert keys == (2 if point in ("order-make_key", "order-save_key") else 1), f"{point}: {keys} keys"
    orders = all_well(fleet, ids, len(ids) + len(COSTS_AN_ORDER))
    row(f"worker SIGKILL at each of {len(points)} steps of orders and authorizations",
        "one order each, one more between newOrder's answer and the acknowledged save_order; the checkpointed key",
        f"{orders} orders for {len(ids)} endpoints (1 more: save_order), 1 certificate each; taken up by another at most "
        f"{slowest:.1f} s after (lease {LEASE_S} s)")


def test_killed_where_an_order_fails(fleet, patience):
    """The steps of failure: the edge is down, so the authority cannot see http-01."""
    points = [("order-failed", "kill", step_line("failed", "failed")),
              ("authz-deactivate", "kill", step_line("deactivate", "deactivate", "authz"))]
    folder = crash_points(fleet, points)
    workers = start(fleet, 2, folder)
    fleet.haproxy.stop()
    for endpoint, names in (("failed", ["a.example.test"]), ("deactivate", ["b.example.test", "c.example.test"])):
        for name in names:
            fleet.knot.add((name, "CNAME", TARGET + "."), (f"_certfleet.{name}", "TXT", fleet.label(name)))
        fleet.cli("endpoint", "add", *names, "--id", endpoint, "--type", "external", "--target", TARGET)
    failed = "event=issuance_failed endpoint="
    run_workers(fleet, workers, lambda: len({x.split(failed)[1].split()[0] for x in log_lines(workers, failed)}) == 2,
                60 * patience)
    assert all(happened(folder, name) for name, _, _ in points)
    fleet.haproxy.start()
    for endpoint in ("failed", "deactivate"):
        fleet.cli("jobs", "retry", endpoint)
    run_workers(fleet, workers, lambda: all(s == "active" for s in fleet.states().values()), 60 * patience)
    orders = all_well(fleet, ["failed", "deactivate"], 4)
    row("worker SIGKILL where an order fails (failed, deactivate)",
        "the failure is found again and said once; no order beyond the one that failed and the one that succeeds",
        f"{orders} orders for 2 endpoints that failed once each")


def test_a_job_that_kills_its_workers_is_parked(fleet, patience):
    """Its neighbours are not punished, an operator is told, and brings it back."""
    folder = crash_points(fleet, [(f"death{i}", "kill", step_line("poison", "make_key")) for i in range(4)])
    workers = start(fleet, 1, folder, issue=8)
    ids = import_endpoints(fleet, [{**internal(0), "id": "poison"}, *[internal(i, "n") for i in range(1, 6)]])

    def alerts():
        return [a for a in fleet.cli_json("alerts")["alerts"] if a["condition"] == "parked"]
    died = run_workers(fleet, workers, lambda: job(fleet, "poison").get("where") == 3, 90 * patience)
    said, = wait_until("the alert", alerts, 30 * patience, 0.2)
    assert said["endpoint"] == "poison" and said["actor"] == "operator" and said["severity"] == "critical"
    assert "ended its worker 3 times" in said["text"] and said["fix"] == "certfleet jobs retry poison"
    listed, = [j for j in fleet.cli_json("jobs", "list")["jobs"] if j["where"] == "parked"]
    assert listed["endpoint"] == "poison" and listed["queue"] == "issue" and listed["why"] == "lapses", listed
    assert "poison" in fleet.cli("jobs", "list").stdout and fleet.states()["poison"] == "parked"
    fleet.wait_states("active", ids[1:], 60 * patience)
    assert died == 4, "once among its neighbours, then three times as a suspect"
    fleet.cli("jobs", "retry", "poison")
    fleet.wait_states("active", ["poison"], 60 * patience)
    wait_until("the alert to end", lambda: not alerts(), 60 * patience, 0.2)
    orders = all_well(fleet, ids, 2 * len(ids))
    row("a job that kills its worker, four times", "parked after three lapses as a suspect, said with its remedy; its neighbours "
        "go on", f"{died} workers died; alert parked opened, resolved after `jobs retry`; 6 of 6 active, {orders} orders")


@pytest.mark.parametrize("step", ["new_order", "save_order", "finalize", "done"])
def test_stopped_beyond_its_lease(fleet, patience, step):
    """SIGSTOP at a step, SIGCONT when another has finished: it tells the authority nothing more, and its outcome is
    refused."""
    folder = crash_points(fleet, [("stop", "stop", step_line("s0", step))])
    stopped = start(fleet, 1, folder)[0]
    ids = import_endpoints(fleet, [internal(0, "s")])
    wait_until("the worker to stop itself", lambda: happened(folder, "stop"), 30 * patience)
    other = JobWorker(fleet, "other")
    fleet.workers.append(other)
    fleet._start(other)
    fleet.wait_states("active", ids, 30 * patience)
    record, held = job(fleet, "s0"), fleet.cli_json("endpoint", "show", "s0")["certificate"]["serial"]
    asked = len(fleet.pebble.log().splitlines())
    said = len(stopped.log().splitlines())
    stopped.signal(signal.SIGCONT)
    word = "event=job_outcome_refused endpoint=s0 queue=issue" if step == "done" else \
        "event=job_lost endpoint=s0 queue=issue"
    wait_until("the stopped one to notice", lambda: word in stopped.log(), 20 * patience)
    refused = [x for x in stopped.log().splitlines()[said:] if "endpoint=s0 queue=issue" in x]
    assert len(refused) == 1 and (step != "done" or "the lease is lost" in refused[0]), refused
    assert not [x for x in fleet.pebble.log().splitlines()[asked:] if "POST /" in x], "it went on to the authority"
    assert job(fleet, "s0") == record, "the record is the other's"
    assert fleet.cli_json("endpoint", "show", "s0")["certificate"]["serial"] == held
    orders = all_well(fleet, ids, 1 + (step == "save_order"))
    row(f"worker SIGSTOP beyond its lease at {step}", "another finishes; the stopped one tells the authority nothing "
        "more, and what it says to Redis is refused", f"{orders} order{'s' * (orders > 1)}; {word.split()[0][6:]}; "
        "record and certificate stayed the other's")
