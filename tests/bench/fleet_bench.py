#!/usr/bin/python3
"""A scheduler with a million endpoints: its start, its memory, and how soon the API answers while the fleet moves.

usage: fleet_bench.py [ENDPOINTS] [--fleet FOLDER] [--seconds S] [--rate R] [--clients 1,8] [--profile FILE]

The fleet is made by the real scripts (fleet_driver.c), which takes some minutes; with --fleet it is kept in FOLDER, and
found there by the next run. See README.md for what is counted. No time is asserted; the status is 1 when an answer was
not what the fleet has, or the audit found something.
"""
import argparse
import collections
import http.client
import json
import multiprocessing
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

import redis

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "deploy", "demo"))

from servers import LOOPBACK, Redis, ServerError, free_port, wait_until  # noqa: E402
from stack import Scheduler, die_with_signals, to_yaml  # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("CERTFLEET_BUILD", "build/release"))
FLEET = "bench"
PREFIX = f"cf:{{{FLEET}}}:"
KEYS = ("accounts", "certificates", "label")
FOREVER = multiprocessing.get_context("fork")


def program(name):
    return os.path.join(BUILD, name)


# --- the fleet

class Server(Redis):
    """As production has it, but that the file is not rewritten in the middle; the fleet is loaded from dump.rdb."""
    start_seconds = 300

    def __init__(self, folder):
        self.socket = os.path.join(folder, "redis.sock")
        super().__init__(folder, fleet=FLEET)

    def lines(self):
        return [*super().lines(), f"unixsocket {self.socket}", "appendonly no", "auto-aof-rewrite-percentage 0",
                "latency-monitor-threshold 10"]

    def ready(self):
        return super().ready() and "loading:0" in self.command("info", "persistence")

    def append_only(self, db):
        """Its file is written at once, which forks: before anything is measured."""
        db.config_set("appendonly", "yes")
        wait_until("the append-only file", lambda: not db.info("persistence")["aof_rewrite_in_progress"], 600)
        db.slowlog_reset()
        db.execute_command("LATENCY", "RESET")
        db.config_resetstat()


def driver(server, folder, *args):
    mode, *more = map(str, args)
    return [program("tests/bench/fleet_driver"), mode, server.socket, FLEET, os.path.join(folder, "certificates.key"), *more]


def make_keys(folder):
    for key in KEYS:
        path = os.path.join(folder, f"{key}.key")
        if not os.path.exists(path):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(secrets.token_bytes(32))


def values(text):
    return {k: float(v) for k, v in (line.split("=") for line in text.split() if "=" in line)}


def fill(server, db, folder, n):
    """What the driver said of it; {} if the fleet was there."""
    there = db.zcard(PREFIX + "endpoints")
    if there == n:
        return {}
    if there:
        raise ServerError(f"{folder} holds {there} endpoints, not {n}")
    done = subprocess.run(driver(server, folder, "fill", n), stdout=subprocess.PIPE, text=True, check=True)
    db.save()
    return values(done.stdout)


def write_config(folder, server, port):
    limits = {"new_orders": "300/3h"}
    path = os.path.join(folder, "certfleet.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(to_yaml({
            "fleet": FLEET, "redis": {**server.config, **server.user("scheduler")},
            "vault": {f"{k}_key_file": os.path.join(folder, f"{k}.key") for k in KEYS[:2]},
            "authorities": [{"name": name, "directory": f"https://{name}.invalid/directory", "limits": limits,
                             "contact": ["mailto:ops@platform.example"], "terms_of_service_agreed": True}
                            for name in ("letsencrypt", "zerossl")],
            "challenges": {"zones": ["acme.platform.example"], "label_key_file": os.path.join(folder, "label.key"),
                           "nameservers": [{"name": f"ns{i}.acme.platform.example", "addresses": [f"192.0.2.{i}"]}
                                           for i in (1, 2)], "dns_provider": "builtin"},
            "resolver": {"servers": [f"{LOOPBACK}:53"]},
            "scheduler": {"listen": f"{LOOPBACK}:{port}"}}))
    return path


# --- a client of the API

class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection(LOOPBACK, port, timeout=120)
        self.connection.connect()

    def get(self, path):
        """(seconds, the answer)"""
        began = time.perf_counter()
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise ServerError(f"GET {path}: {answer.status} {body[:300]!r}")
        return seconds, body

    def json(self, path):
        return json.loads(self.get(path)[1])


def questions(sample, deep, seed):
    """(kind, path) without end, as people and dashboards ask. sample: rows of a list; deep: cursors of pages."""
    dice = random.Random(seed)
    pages = "/v1/endpoints?"

    def row():
        return dice.choice(sample)

    def part(first):
        name = row()["id"]
        at = 0 if first else dice.randrange(2, len(name) - 8)
        return name[at:at + dice.randrange(3, 8)]

    kinds = {
        "list, first page": lambda: pages,
        "list, deep page": lambda: f"{pages}after={dice.choice(deep)}",
        "list, 200 a page": lambda: f"{pages}limit=200&after={dice.choice(deep)}",
        "list, trouble first": lambda: f"{pages}sort=trouble",
        "list, what ends first": lambda: f"{pages}sort=expiry",
        "search, one letter": lambda: f"{pages}q={row()['id'][0]}",
        "search, as typed": lambda: f"{pages}q={part(True)}",
        "search, in the middle": lambda: f"{pages}q={part(False)}",
        "search, whole name": lambda: f"{pages}q={row()['id']}",
        "search, nothing": lambda: f"{pages}q={dice.choice(['zzzz', 'qx', 'no-such-name', 'shop.zz', 'blueq'])}",
        "filter, state": lambda: f"{pages}state={dice.choice(['active', 'failing', 'waiting_dns', 'expired,parked'])}",
        "filter, reason": lambda: f"{pages}reason={dice.choice(['record_missing', 'caa', 'nxdomain'])}",
        "filter, tenant": lambda: f"{pages}tenant={row()['tenant']}",
        "filter, authority": lambda: f"{pages}authority=zerossl",
        "filter, type": lambda: f"{pages}type=internal",
        "state and reason": lambda: f"{pages}state=waiting_dns&reason=record_missing",
        "tenant and search": lambda: f"{pages}tenant=reseller-one&q={part(True)}",
        "state, search, trouble first": lambda: f"{pages}state=failing,waiting_dns&q=shop&sort=trouble",
        "overview": lambda: "/v1/status",
        "overview, a tenant's": lambda: "/v1/status?tenant=reseller-one",
        "endpoint": lambda: f"/v1/endpoints/{row()['id']}",
        "alerts": lambda: "/v1/alerts",
    }
    while True:
        order = list(kinds)
        dice.shuffle(order)
        for kind in order:
            yield kind, kinds[kind]()


def take_sample(port):
    """Some hundred rows and cursors from all over the fleet."""
    client, sample, deep = Client(port), [], []
    for letter in "abcdghlmnpqrsuvwy":
        page = client.json(f"/v1/endpoints?limit=50&after={letter}")
        sample += page["endpoints"]
        if page["next"]:
            deep.append(page["next"])
    return [{k: e[k] for k in ("id", "tenant", "state")} for e in sample], deep


# --- who runs meanwhile, each a process of its own

def ask(port, seed, sample, deep, until, out):
    client, seen = Client(port), []
    for kind, path in questions(sample, deep, seed):
        if time.monotonic() > until:
            break
        seen.append((kind, client.get(path)[0]))
    out.put(("ask", seen))


def knock(port, until, out):
    """How long the loop may have stood still: a question each 5 ms that needs nothing but the loop."""
    client, seen = Client(port), []
    while time.monotonic() < until:
        seen.append(client.get("/healthz")[0])
        time.sleep(0.005)
    out.put(("knock", seen))


def listen(port, until, out):
    """Server-sent events: how many, and the longest silence."""
    client = Client(port)
    client.connection.request("GET", "/v1/events")
    answer, events, last, silence = client.connection.getresponse(), 0, time.monotonic(), 0
    while time.monotonic() < until:
        line = answer.readline()
        if line.startswith(b"event:"):
            now = time.monotonic()
            events, silence, last = events + 1, max(silence, now - last), now
    out.put(("listen", (events, silence)))


class Round:
    """So many clients for so many seconds, and what Redis and the loop say of it."""

    def __init__(self, bench, clients, seconds):
        self.bench, self.clients, self.seconds = bench, clients, seconds
        self.times = collections.defaultdict(list)
        self.knocks, self.events, self.silence = [], 0, 0

    def run(self):
        b = self.bench
        until, out = time.monotonic() + self.seconds, FOREVER.Queue()
        churn = subprocess.Popen(driver(b.server, b.folder, "churn", b.n, b.rate, int(self.seconds)),
                                 stdout=subprocess.PIPE, text=True)
        pulse = subprocess.Popen(["redis-cli", "-s", b.server.socket, "--latency", "-i", str(int(self.seconds) - 1)],
                                 stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        ours = (b.scheduler, b.server)
        cpu, waited = [p.cpu_seconds() for p in ours], [waited_seconds(p) for p in ours]
        jobs = [(ask, (b.port, k, b.sample, b.deep)) for k in range(self.clients)]
        jobs += [(knock, (b.port,)), (listen, (b.port,))]
        running = [FOREVER.Process(target=f, args=(*args, until, out), daemon=True) for f, args in jobs]
        for p in running:
            p.start()
        for _ in running:
            self.take(*out.get(timeout=self.seconds + 120))
        self.cpu = [(p.cpu_seconds() - c) / self.seconds for p, c in zip(ours, cpu)]
        self.waited = [(waited_seconds(p) - w) / self.seconds for p, w in zip(ours, waited)]
        self.churn = values(churn.communicate(timeout=120)[0])
        self.pulse = pulse.communicate(timeout=60)[0].split()
        if churn.returncode:
            raise ServerError("the driver failed")
        return self

    def take(self, who, what):
        if who == "ask":
            for kind, seconds in what:
                self.times[kind].append(seconds)
        elif who == "knock":
            self.knocks = what
        else:
            self.events, self.silence = what


def waited_seconds(server):
    """How long it was ready to run and had no CPU: what others on this machine took from it."""
    with open(f"/proc/{server.pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[1]) / 1e9


def at(times, share):
    times = sorted(times)
    return 1e3 * times[min(len(times) - 1, int(len(times) * share))]


# --- the bench

class Bench:
    def __init__(self, folder, n, rate):
        self.folder, self.n, self.rate = folder, n, rate
        self.server, self.port = Server(folder), free_port()
        self.db = redis.Redis(unix_socket_path=self.server.socket)
        self.scheduler = None

    def start(self):
        make_keys(self.folder)
        self.server.start()
        self.filled = fill(self.server, self.db, self.folder, self.n)
        self.in_redis = self.db.info("memory")["used_memory"]
        self.server.append_only(self.db)
        self.config = write_config(self.folder, self.server, self.port)
        self.scheduler = Scheduler(os.path.join(self.folder, "scheduler"), "scheduler", program("certfleet-scheduler"),
                                   self.config, self.port)
        began = time.monotonic()
        self.scheduler.start(wait=False)
        wait_until("the scheduler", lambda: self.scheduler.get("/v1/status")[0] == 200, 60, every=0.005)
        self.up_seconds = time.monotonic() - began
        longest = 0
        client = Client(self.port)
        while True:
            seconds, body = client.get("/v1/status")
            longest = max(longest, seconds)
            if json.loads(body)["complete"]:
                break
            if time.monotonic() - began > 600:
                raise ServerError("the index is not complete after ten minutes")
            time.sleep(0.02)
        self.fill_seconds, self.fill_longest = time.monotonic() - began, longest
        if json.loads(body)["endpoints"] != self.n:
            raise ServerError(f"the index has {json.loads(body)['endpoints']} endpoints")
        self.resident = memory(self.scheduler.pid)
        self.sample, self.deep = take_sample(self.port)

    def check(self):
        """Answers against the fleet: the sum of the states, a name that is found alone, a walk."""
        client = Client(self.port)
        status = client.json("/v1/status")
        total = sum(client.json(f"/v1/endpoints?limit=1&state={s}")["total"] for s in status["states"])
        found = client.json(f"/v1/endpoints?q={self.sample[7]['id']}")
        walked = client.json(f"/v1/endpoints?limit=200&after={self.deep[0]}")["endpoints"]
        ids = self.db.zrangebylex(PREFIX + "endpoints", f"({self.deep[0]}", "+", 0, 200)
        return (abs(total - self.n) <= self.rate and any(e["id"] == self.sample[7]["id"] for e in found["endpoints"])
                and [e["id"].encode() for e in walked] == ids)

    def audit(self):
        done = subprocess.run([program("certfleet"), "-c", self.config, "--json", "audit"], capture_output=True, text=True,
                              check=False)
        if done.returncode not in (0, 3):
            raise ServerError(done.stderr)
        return done.returncode == 0, done.stdout

    def stop(self):
        for server in (self.scheduler, self.server):
            if server:
                server.stop()


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))


def report_start(b):
    if b.filled:
        parts = ", ".join(f"{k.removesuffix('_seconds')} {v:.0f} s" for k, v in b.filled.items() if k.endswith("_seconds"))
        print(f"filled by the scripts: {parts}")
    print(f"{b.n:,} endpoints, {b.in_redis / b.n:,.0f} bytes each in Redis ({b.in_redis / 1e9:.2f} GB)")
    print(f"scheduler: answers after {b.up_seconds:.2f} s, complete index after {b.fill_seconds:.1f} s (an overview meanwhile: "
          f"{b.fill_longest * 1e3:.0f} ms at most), resident {b.resident / 1e6:.0f} MB", flush=True)


def report(b, r, what):
    print(f"\n{what}: {r.clients} at once, {r.seconds} s\n")
    print(f"| | n | p50 ms | p99 ms | most ms |\n| --- | ---: | ---: | ---: | ---: |")
    for kind, times in sorted(r.times.items()):
        print(f"| {kind} | {len(times)} | {at(times, .5):.1f} | {at(times, .99):.1f} | {1e3 * max(times):.1f} |")
    everything = [t for kind, times in r.times.items() for t in times]
    print(f"| **all** | {len(everything)} | {at(everything, .5):.1f} | {at(everything, .99):.1f} | "
          f"{1e3 * max(everything):.1f} |\n")
    print(f"answers {len(everything) / r.seconds:.0f}/s; looks {r.churn['looks'] / r.churn['seconds']:.0f}/s; events heard "
          f"{r.events / r.seconds:.0f}/s, longest silence {r.silence * 1e3:.0f} ms")
    print(f"the loop: p99 {at(r.knocks, .99):.1f} ms, longest {1e3 * max(r.knocks):.1f} ms; CPU of the scheduler "
          f"{r.cpu[0]:.2f} (waited for a CPU {r.waited[0]:.2f}), of Redis {r.cpu[1]:.2f} ({r.waited[1]:.2f}); resident {memory(b.scheduler.pid) / 1e6:.0f} MB")
    print(f"redis-cli --latency (min max avg ms, samples): {' '.join(r.pulse)}")
    slow = collections.Counter()
    longest = 0
    for e in b.db.slowlog_get(256):
        words = e["command"].split()
        slow[b" ".join(words[:1]).decode()] += 1
        longest = max(longest, e["duration"] / 1e3)
    print(f"SLOWLOG (over 10 ms): {dict(slow)}, longest {longest:.0f} ms; LATENCY: "
          f"{ {e[0].decode(): f'{e[3]} ms' for e in b.db.execute_command('LATENCY', 'LATEST')} }", flush=True)
    b.db.slowlog_reset()
    b.db.execute_command("LATENCY", "RESET")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoints", nargs="?", type=int, default=1000000)
    parser.add_argument("--fleet", help="a folder in which the fleet is kept")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=300, help="looks a second that are finished")
    parser.add_argument("--clients", default="1,8")
    parser.add_argument("--profile", help="where perf writes what the scheduler does")
    args = parser.parse_args()
    die_with_signals()
    folder = os.path.abspath(args.fleet) if args.fleet else tempfile.mkdtemp(prefix="certfleet-bench-")
    os.makedirs(folder, exist_ok=True)
    b = Bench(folder, args.endpoints, args.rate)
    perf = None
    try:
        b.start()
        report_start(b)
        if args.profile:
            perf = subprocess.Popen(["perf", "record", "-q", "-F", "999", "-g", "-o", args.profile, "-p",
                                     str(b.scheduler.pid)])
        for i, clients in enumerate(args.clients.split(",")):
            report(b, Round(b, int(clients), args.seconds).run(), "just started" if i == 0 else "later")
        if perf:
            perf.terminate()
            perf.wait()
        right = b.check()
        clean, said = b.audit()
        print(f"\nanswers are {'right' if right else 'WRONG'}; audit: {said.strip()[:500]}")
        return 0 if right and clean else 1
    finally:
        b.stop()
        if not args.fleet:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
