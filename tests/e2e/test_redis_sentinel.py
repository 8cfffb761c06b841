"""A primary with replicas under Sentinels, by TLS and with an ACL user: it is killed, and it hangs and comes back."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest
from conftest import running_stack
from faults import all_well, import_endpoints, internal, job, key, line_time, log_lines, row
from servers import LOOPBACK, wait_until
from stack import CHALLENGE_ZONE

N = 30
PROMISED_S = 5
OURS = re.compile(r"\bname=(worker\d|certfleet-\w+)")


@pytest.fixture(scope="module")
def fleet():
    yield from running_stack(sync=False, redis="sentinel", redis_options={"replicas": 2, "secure": True},
                             config={"worker": {"lease": "3s"}, "redis": {"replicas": 1, "timeout": "8s"}})


class Monitor:
    """Every command that a server gets, by whom: so that it is seen when each process works there."""

    LINE = re.compile(r'^(\d+\.\d+) \[\d+ (\S+)\] "(\w+)"(?: "([^"]*)")?(?: "([^"]*)")?', re.M)

    def __init__(self, server):
        self.path = server.path("monitor.txt")
        with open(self.path, "wb") as out:  # a promotion disconnects everybody
            self.process = subprocess.Popen(
                ["sh", "-c", 'while :; do redis-cli "$@" monitor; done', "sh", *server.cli_args()], stdout=out,
                stderr=subprocess.DEVNULL, start_new_session=True)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def first_work(self, since):
        """When each connection that runs scripts ran its first: {(name, address): time}."""
        names, first = {}, {}
        with open(self.path, encoding="utf-8", errors="replace") as f:
            for at, address, command, a, b in self.LINE.findall(f.read()):
                if command.lower() == "client" and a.lower() == "setname":
                    names[address] = b
                elif command.lower() == "evalsha" and float(at) >= since and address in names:
                    first.setdefault((names[address], address), float(at))
        return first

    def all_work(self, since):
        """Of each worker and scheduler the first: name -> times. None if one is missing yet."""
        first = self.first_work(since)
        by_name = {}
        for (name, _), at in first.items():
            by_name.setdefault(name, []).append(at)
        whole = all(by_name.get(name) for name in ("worker1", "worker2")) and len(
            by_name.get("certfleet-scheduler", [])) >= 2
        return by_name if whole else None


class Asking(threading.Thread):
    """The command line, over and over, while the primary changes."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.asked, self.over = stack, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            self._ask()

    def _ask(self):
        begin = time.time()
        done = self.stack.cli("endpoint", "list", check=False)
        self.asked.append((begin, time.time() - begin, done.stderr if done.returncode else ""))

    def end(self, since):
        """How often it was asked since then, and the slowest answer. None may have failed."""
        self.over.set()
        self.join()
        self._ask()  # at least once
        asked = [a for a in self.asked if a[0] >= since]
        assert not [error for _, _, error in asked if error], asked
        return len(asked), max(took for _, took, _ in asked)


class Digging(threading.Thread):
    """The first worker's name server is asked for a challenge, over and over."""

    def __init__(self, fleet):
        super().__init__(daemon=True)
        worker = fleet.workers[0]
        self.argv = ["dig", "+tries=1", "+time=9", f"-p{worker.dns_port}", f"@{LOOPBACK}", f"held.{CHALLENGE_ZONE}", "TXT"]
        self.answers, self.over = [], threading.Event()

    def run(self):
        while not self.over.is_set():
            asked = time.time()
            text = subprocess.run(self.argv, capture_output=True, text=True, check=False).stdout
            status = re.search(r"status: (\w+)", text)
            self.answers.append((asked, time.time(), status[1] if status else "nothing"))

    def end(self, back):
        """What was asked before the worker had Redis `back`, and answered after; and how many failed in all."""
        self.over.set()
        self.join()
        straddling = [status for asked, answered, status in self.answers if back - 1.8 < asked <= back <= answered]
        return straddling, sum(status != "NOERROR" for _, _, status in self.answers)


def through_a_failover(fleet, how, patience):
    """Gives the switch, after how many seconds the last process ran its first script on the new primary, and how often
    the command line was asked meanwhile."""
    old = fleet.primary()
    monitors = {m.name: Monitor(m) for m in fleet.redis.members if m is not old}
    asking = Asking(fleet)
    asking.start()
    try:
        struck = time.time()
        switch = fleet.failover(how=how)
        monitor = monitors[switch.new.name]
        work = wait_until("all to work on the new primary", lambda: monitor.all_work(switch.at - 1), 60 * patience, 0.1)
    finally:
        for monitor in monitors.values():
            monitor.stop()
    # What is under way on a Redis that hangs ends by its deadline; what begins later goes to the new one.
    asked, slowest = asking.end(struck + 0.5 if how == signal.SIGKILL else switch.at + 1)
    took = {name: [round(at - switch.at, 2) for at in times] for name, times in work.items()}
    print(f"\n{how.name}: {switch.old.name} -> {switch.new.name}; seconds from +switch-master to the first script: {took}; "
          f"{asked} times the command line, the slowest {slowest:.1f} s")
    worst = max(max(times) for times in took.values())
    assert worst < PROMISED_S * patience
    return switch, worst, asked


def ours_at(server):
    return OURS.findall(server.command("client", "list"))


def haunt(fleet):
    """Damage that only the replicas have: no pass over the primary can see it."""
    for server in fleet.redis.members:
        if server is not fleet.primary():
            server.command("config", "set", "replica-read-only", "no")
            server.command("zadd", key("expiry"), "4102444800000", "ghost")
            server.command("config", "set", "replica-read-only", "yes")


def exorcised(fleet, switch, patience):
    """The audit came with the failover, not with its next turn, and repaired. Gives how long after +switch-master."""
    wait_until("the damage to be mended", lambda: switch.new.command("zscore", key("expiry"), "ghost") == "", 60 * patience, 0.1)
    moved = [line_time(x) for x in log_lines(fleet.schedulers, "event=redis_moved") if line_time(x) > switch.at - 1]
    found = [line_time(x) for x in log_lines(fleet.schedulers, "event=audit_found endpoint=ghost")
             if line_time(x) > switch.at - 1]
    assert moved and found and any(abs(found[0] - at) < 3 * patience for at in moved), (moved, found)
    return found[0] - switch.at


def test_a_killed_primary(fleet, patience):
    """In the middle of issuing."""
    ids = import_endpoints(fleet, [internal(i, "k") for i in range(N)])
    pids = [s.pid for s in fleet.workers + fleet.schedulers]
    wait_until("the first certificates", lambda: len(fleet.pebble.serials()) >= 3, 60 * patience, 0.02)
    haunt(fleet)
    fleet.primary().command("hset", key("txt:held"), "value", "1")
    digging = Digging(fleet)
    digging.start()
    struck = time.time()
    switch, worst, asked = through_a_failover(fleet, signal.SIGKILL, patience)
    back = min(t for t in map(line_time, log_lines(fleet.workers[:1], "event=redis_up ")) if t > struck)
    straddling, failed = digging.end(back)
    assert set(straddling) <= {"NOERROR"}, digging.answers
    mended = exorcised(fleet, switch, patience)
    fleet.wait_states("active", ids, 200 * patience)
    assert [s.pid for s in fleet.workers + fleet.schedulers] == pids
    assert all(s.alive() for s in fleet.workers + fleet.schedulers)
    orders = all_well(fleet, ids, 2 * N)
    row("Redis primary SIGKILL under Sentinels, barriers with a replica", f"ridden out within {PROMISED_S} s",
        f"all four processes at work {worst:.1f} s after +switch-master; {N} of {N} active, {orders} orders; the command "
        f"line answered {asked} of {asked} times; {failed} of {len(digging.answers)} questions to a name server failed, those "
        f"that waited when Redis was back did not; the audit found and mended damage of the new primary {mended:.1f} s after "
        "+switch-master")
    fleet.redis.rejoin(switch.old)


def alert(fleet, condition):
    return [a for a in fleet.cli_json("alerts")["alerts"] if a["condition"] == condition]


def test_replicas_that_do_not_acknowledge(fleet, patience):
    """They are connected, and stand still: jobs wait at their barrier, and that is no fault of theirs."""
    before, n = fleet.pebble.orders_added(), 3
    replicas = [m for m in fleet.redis.members if m is not fleet.primary()]
    for w in fleet.workers:
        w.signal(signal.SIGSTOP)
    ids = import_endpoints(fleet, [internal(i, "ack") for i in range(n)])
    for r in replicas:
        r.signal(signal.SIGSTOP)
    try:
        for w in fleet.workers:
            w.signal(signal.SIGCONT)
        wait_until("all to be given back", lambda: len(given_back(fleet, ids)) == n, 60 * patience, 0.1)
        assert not log_lines(fleet.workers, "event=issuance_failed endpoint=ack"), "a job was charged"
        said, = wait_until("the alert", lambda: alert(fleet, "barriers_late"), 60 * patience, 0.3)
        assert said["severity"] == "critical" and said["actor"] == "operator" and "acknowledge" in said["text"]
        assert not alert(fleet, "redis_replicas")
        records = [job(fleet, i) for i in ids]
    finally:
        for r in replicas:
            r.signal(signal.SIGCONT)
    assert {(r["lapses"], r["attempt"] <= 1) for r in records} == {(0, True)}, records
    fleet.wait_states("active", ids, 60 * patience)
    wait_until("the alert to end", lambda: not alert(fleet, "barriers_late"), 60 * patience, 0.3)
    assert not log_lines(fleet.workers, "event=issuance_failed endpoint=ack")
    orders = all_well(fleet, ids, before + n) - before
    row("replicas stand still while orders are under way, barriers with a replica",
        "nothing is finalized and nothing charged until a replica acknowledges; the operator is told",
        f"{n} of {n} jobs given back at the barrier with attempts uncharged, barriers_late opened and resolved; "
        f"{orders} orders for {n} endpoints")


def given_back(fleet, ids):
    lines = log_lines(fleet.workers, "event=job_released endpoint=ack")
    return {i for i in ids if any(f"endpoint={i} queue=issue " in x for x in lines)}


def test_a_hanging_primary_that_comes_back(fleet, patience):
    """It kept our connections and believes that it is the primary: nobody may talk to it any more."""
    before = fleet.pebble.orders_added()
    switch, worst, _ = through_a_failover(fleet, signal.SIGSTOP, patience)
    switch.old.signal(signal.SIGCONT)
    role = wait_until("it to answer", lambda: switch.old.command("role").split("\n")[0], 20)
    wait_until("what had been sent to it to end", lambda: not ours_at(switch.old), 5 * patience, 0.1)
    wrote = writes(switch.old)
    ids = import_endpoints(fleet, [internal(i, "h") for i in range(10)])
    fleet.wait_states("active", ids, 200 * patience)
    assert not ours_at(switch.old)
    assert not switch.old.command("role").startswith("master") or writes(switch.old) == wrote
    orders = all_well(fleet, ids, before + len(ids)) - before
    row("Redis primary SIGSTOP, SIGCONT after the failover", "the old one is not written to",
        f"it came back as {role}, with no connection of ours; at work {worst:.1f} s after +switch-master; "
        f"{len(ids)} of {len(ids)} active, {orders} orders")
    fleet.redis.rejoin(switch.old)


def ours_at(server):
    return OURS.findall(server.command("client", "list"))


def writes(server):
    return re.findall(r"cmdstat_(?:evalsha|set|hset|xadd):calls=(\d+)", server.command("info", "commandstats"))
