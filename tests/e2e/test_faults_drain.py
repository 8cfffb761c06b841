"""The fault table, ends that were meant: how soon a killed worker's jobs run again, a rolling restart, a second SIGTERM."""
import re
import signal
import threading
import time

import pytest
from conftest import running_stack
from faults import JobWorker, all_well, import_endpoints, internal, job, line_time, log_lines, row
from servers import wait_until

LEASE_S = 3
N = 14


@pytest.fixture
def fleet():
    """Workers that only answer challenges, and an authority that lets one wait: jobs are under way for seconds."""
    yield from running_stack(sync=False, pebble={"authz_reuse": 0, "retry_after": 2}, config={
        "log": {"level": "debug"},
        "worker": {"roles": ["http-01", "dns-01"], "lease": f"{LEASE_S}s", "drain": "1s"}})


def start(fleet, n, issue):
    workers = [JobWorker(fleet, f"jobs{i + 1}", issue=issue) for i in range(n)]
    fleet.workers += workers
    for w in workers:
        fleet._start(w)
    return workers


def starts(workers, endpoint):
    return [line_time(x) for x in log_lines(workers, f"event=job_started endpoint={endpoint} queue=issue ")]


def running_of(fleet, ids, worker):
    records = {i: job(fleet, i) for i in ids}
    return [i for i, r in records.items() if r.get("where") == 2 and r["worker"] == worker]


class Stalls(threading.Thread):
    """How long this machine let somebody wait who had nothing to wait for."""

    def __init__(self):
        super().__init__(daemon=True)
        self.longest, self.over = 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            begin = time.monotonic()
            time.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - begin - 0.01)

    def end(self):
        self.over.set()
        self.join()
        return self.longest


def test_a_killed_workers_jobs_run_again(fleet, patience):
    """The other stands still until then, so that all jobs are the first one's."""
    workers = start(fleet, 2, N)
    workers[1].signal(signal.SIGSTOP)
    ids = import_endpoints(fleet, [internal(i, "r") for i in range(N)])
    wait_until("jobs in the first", lambda: len(running_of(fleet, ids, "jobs1")) >= 5, 60 * patience, 0.02)
    killed = time.time()
    workers[0].kill()
    workers[1].signal(signal.SIGCONT)
    stalls = Stalls()
    stalls.start()
    orphans = running_of(fleet, ids, "jobs1")
    assert orphans
    fleet.wait_states("active", ids, 60 * patience)
    took = [min(t for t in starts(workers[1:], i) if t > killed) - killed for i in orphans]
    # What the machine itself was late by comes on top, in each of the processes that the way leads through.
    assert max(took) <= LEASE_S + 1 + 4 * stalls.end() + 2 * (patience - 1), took
    orders = all_well(fleet, ids, N + len(orphans))
    row("recovery: a worker SIGKILLed with jobs under way", f"they run again within lease + 1 s ({LEASE_S} s + 1 s)",
        f"{len(orphans)} jobs, again after {min(took):.1f} to {max(took):.1f} s; {orders} orders for {N} endpoints")


def test_a_rolling_restart_charges_nothing(fleet, patience):
    """Each process of the fleet once, one after the other, with a grace that is too short for the jobs."""
    workers = start(fleet, 2, 4)
    ids = import_endpoints(fleet, [internal(i, "roll") for i in range(N)])
    for w in workers:
        wait_until("jobs in it", lambda w=w: running_of(fleet, ids, w.name), 60 * patience, 0.02)
        assert w.stop() == 0, w.log_tail()
        w.start()
    for s in fleet.schedulers:
        assert s.stop() == 0, s.log_tail()
        s.start()
    fleet.wait_states("active", ids, 60 * patience)
    attempts = {int(re.search(r"attempt=(\d+)", x)[1]) for x in log_lines(workers, "event=job_started ")}
    released = [(line_time(x), re.search(r"endpoint=(\S+)", x)[1])
                for x in log_lines(workers, "event=job_released ") if "queue=issue" in x and "why=drain" in x]
    assert released, "every job ended within the grace: nothing was shown"
    delays = [min(t for t in starts(workers, i) if t >= at - 0.002) - at for at, i in released]
    assert attempts == {1}, f"attempts were charged: {attempts}"
    assert max(delays) <= LEASE_S * patience, delays
    assert not log_lines(fleet.schedulers, "event=leases_lapsed")
    orders = all_well(fleet, ids, N)
    row("rolling restart of the whole fleet under load", "no attempt charged, no order twice, no job later by a lease",
        f"{len(released)} jobs released with their checkpoints, taken up after {max(delays):.2f} s at most (lease {LEASE_S} s); "
        f"attempts {sorted(attempts)}; {orders} orders for {N} endpoints")


def test_a_second_sigterm_ends_at_once(fleet, patience):
    workers = start(fleet, 2, N)
    ids = import_endpoints(fleet, [internal(i, "two") for i in range(N)])
    first = workers[0]
    wait_until("jobs in it", lambda: running_of(fleet, ids, first.name), 60 * patience, 0.02)
    under_way = len(running_of(fleet, ids, first.name))
    first.signal(signal.SIGTERM)
    wait_until("it to drain", lambda: "event=draining" in first.log(), 10 * patience, 0.01)
    asked = time.monotonic()
    first.signal(signal.SIGTERM)
    status = first.process.wait(10 * patience)
    took = time.monotonic() - asked
    first.kill()
    fleet.wait_states("active", ids, 60 * patience)
    orders = all_well(fleet, ids, N + under_way)
    row("a second SIGTERM", "it ends at once and loses nothing", f"ended after {took:.2f} s with status {status} and {under_way} "
        f"jobs under way; {orders} orders for {N} endpoints")
