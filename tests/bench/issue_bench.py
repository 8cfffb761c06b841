#!/usr/bin/python3
"""What a certificate costs: certfleet beside lego, each against a Pebble of its own, in one run.

usage: issue_bench.py [N] [--parallel P] [--only certfleet|lego] [--profile FILE]

N names (200), ECDSA P-256, http-01, validated for real: Pebble asks Unbound, which asks Knot, and fetches the challenge
through HAProxy. See README.md for what is counted. No timing is asserted; the status is 1 when a contender did not get
all of its certificates.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "deploy", "demo"))

from servers import (LOOPBACK, HAProxy, Knot, Pebble, Server, ServerError, Unbound, accepts,  # noqa: E402
                     free_port, wait_until)
from stack import TARGET, ZONES, Stack, die_with_signals, pebble_program  # noqa: E402

LEGO = os.path.join(TOP, "build/deps/bin/lego")
PREFIX = "cf:{demo}:"
ISSUED, FAILED = b"certfleet.certificate.issued", b"certfleet.issuance.failed"
MB = 1e6
TRIES = 3  # of a lego that failed; all are charged


def names_for(n):
    return [f"n{i:05d}.example.test" for i in range(n)]


def create_traffic_records(knot, names):
    knot.add(*[(name, "CNAME", f"{TARGET}.") for name in names])


def memory(pid):
    """Rss, Pss and private bytes of a process now; zeros when it has gone."""
    sizes = {}
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                words = line.split()
                if words[-1] == "kB":
                    sizes[words[0]] = int(words[1]) * 1024
    except OSError:
        pass
    return {"rss": sizes.get("Rss:", 0), "pss": sizes.get("Pss:", 0),
            "private": sizes.get("Private_Clean:", 0) + sizes.get("Private_Dirty:", 0)}


def peak_rss(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def cpu_seconds(server):
    """With that of its children, for HAProxy's worker is one."""
    pids = subprocess.run(["pgrep", "-g", str(server.pid)], capture_output=True, text=True, check=False).stdout.split()
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Costs:
    """CPU seconds that servers used between two moments."""

    def __init__(self, **servers):
        self.servers = servers
        self.before = {k: cpu_seconds(s) for k, s in servers.items()}

    def spent(self):
        return {k: cpu_seconds(s) - self.before[k] for k, s in self.servers.items()}


# --- lego

class Files(Server):
    """Serves the challenges that lego writes into its webroot."""
    name = "files"

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        self.root = self.path("root")
        os.makedirs(self.root)
        self.argv = ["/usr/bin/python3", "-m", "http.server", str(self.port), "--bind", LOOPBACK, "-d", self.root]

    def ready(self):
        return accepts(self.port)


class Lego:
    """P processes at once, one a certificate, one account for all."""

    def __init__(self, folder, names, parallel):
        self.names, self.parallel, self.folder = names, parallel, folder
        self.files = Files(os.path.join(folder, "files"))
        self.knot = Knot(os.path.join(folder, "knot"), ZONES)
        self.unbound = Unbound(os.path.join(folder, "unbound"), {z: [(LOOPBACK, self.knot.port)] for z in ZONES})
        self.haproxy = HAProxy(os.path.join(folder, "haproxy"), [(LOOPBACK, self.files.port)])
        self.pebble = Pebble(os.path.join(folder, "pebble"), pebble_program(), self.unbound.port,
                             self.haproxy.http_port, self.haproxy.https_port)
        self.servers = [self.files, self.knot, self.unbound, self.haproxy, self.pebble]
        self.why = None  # what a lego that failed said last
        self.running, self.most_rss, self.most_pss, self.done = set(), 0, 0, threading.Event()

    def argv(self, name):
        return [LEGO, "--server", self.pebble.directory, "--email", "ops@platform.test", "--accept-tos", "--path",
                os.path.join(self.folder, "lego"), "--key-type", "ec256", "--http", "--http.webroot", self.files.root,
                "--domains", name, "run"]

    def process(self, name):
        """One certificate: whether it came, and CPU seconds."""
        with open(os.path.join(self.folder, f"{name}.log"), "ab") as log:
            p = subprocess.Popen(self.argv(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env={**os.environ, "LEGO_CA_CERTIFICATES": self.pebble.ca_file})
            self.running.add(p.pid)
            _, status, usage = os.wait4(p.pid, 0)
            self.running.discard(p.pid)
            p.returncode = status
        return status == 0, usage.ru_utime + usage.ru_stime

    def certificate(self, name):
        cpu = 0
        for tries in range(1, TRIES + 1):
            ok, seconds = self.process(name)
            cpu += seconds
            if ok or self.pebble.hung:
                break
            self.why = self.log_of(name)[-300:]
        return ok, cpu, tries, time.time()

    def watch(self):
        """Not by getrusage: its ru_maxrss begins with what this program had when it forked."""
        while not self.done.wait(0.2):
            now = [memory(pid) for pid in list(self.running)]
            self.most_rss = max([self.most_rss, *(m["rss"] for m in now)])
            self.most_pss = max(self.most_pss, sum(m["pss"] for m in now))

    def run(self):
        try:
            for server in self.servers:
                server.start()
            self.knot.add((TARGET, "A", LOOPBACK))
            create_traffic_records(self.knot, self.names + ["first.example.test"])
            if not self.process("first.example.test")[0]:
                raise ServerError("lego cannot make an account: " + self.log_of("first.example.test"))
            return self.measure()
        finally:
            self.done.set()
            for server in reversed(self.servers):
                server.kill()

    def log_of(self, name):
        with open(os.path.join(self.folder, f"{name}.log"), errors="replace") as f:
            return f.read()[-1500:]

    def measure(self):
        costs = Costs(pebble=self.pebble, haproxy=self.haproxy, knot=self.knot, unbound=self.unbound)
        threading.Thread(target=self.watch, daemon=True).start()
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(self.parallel) as pool:
            results = list(pool.map(self.certificate, self.names))
        seconds = time.monotonic() - began
        for name, result in zip(self.names, results):
            if not result[0]:
                print(f"lego failed for {name}:\n{self.log_of(name)}", file=sys.stderr)
                break
        got = sum(ok for ok, *_ in results)
        return {"got": got, "issued": sorted(r[3] for r in results), "seconds": seconds,
                "cpu": sum(r[1] for r in results), **costs.spent(), "again": sum(r[2] - 1 for r in results),
                "one": self.most_rss, "peak": self.most_pss,
                "in_flight": self.parallel, "why": self.why}


# --- certfleet

class Certfleet:
    """One worker, one scheduler."""

    def __init__(self, folder, names, parallel, profile=None):
        self.names, self.profile = names, profile
        slots = parallel * 10 // 9 + 1  # a tenth is kept for tenants with nothing running, and here is only one
        # The proof here is the traffic CNAME: nothing at _acme-challenge leaves http-01 as the only way.
        self.stack = Stack(workers=1, schedulers=1, sync=False, folder=folder, keep=True,
                           config={"challenges": {"trust_target_cname": True},
                                   "worker": {"slots": {"verify": slots, "issue": slots}}})

    def run(self):
        import redis  # Debian's, of /usr/bin/python3; lego alone does without
        try:
            self.stack.start()
            create_traffic_records(self.stack.knot, self.names)
            return self.measure(redis.Redis(port=self.stack.redis.port))
        finally:
            self.stack.stop()

    def import_file(self):
        path = self.stack.path("import.yaml")
        with open(path, "w", encoding="ascii") as f:
            for name in self.names:
                f.write(f"- {{id: {name.partition('.')[0]}, names: [{name}], type: external, target: {TARGET}, "
                        "key_type: ecdsa-p256}\n")
        return path

    def perf(self, pid):
        return subprocess.Popen(["perf", "record", "-q", "-F", "2000", "-g", "-o", self.profile, "-p", str(pid)],
                                stdout=subprocess.DEVNULL) if self.profile else None

    def measure(self, db):
        s, worker = self.stack, self.stack.workers[0]
        path = self.import_file()
        wait_until("the scheduler to lead", lambda: db.hget(PREFIX + "leader", "nonce"), 30)
        used = db.info("memory")["used_memory"]
        idle = memory(worker.pid)
        perf = self.perf(worker.pid)
        costs = Costs(worker=worker, redis=s.redis, scheduler=s.schedulers[0], pebble=s.pebble,
                      haproxy=s.haproxy, knot=s.knot, unbound=s.unbound)
        began = time.time()
        s.cli("endpoint", "import", path, timeout=60 + len(self.names) / 10)
        issued, failed, most = self.follow(db, 60 + len(self.names) / 10)
        spent = costs.spent()
        if perf:
            perf.terminate()
            perf.wait()
        got = len(issued)
        if got < len(self.names):
            states = list(s.states().values())
            print(f"certfleet: { {state: states.count(state) for state in set(states)} }\n{worker.log_tail(30)}",
                  file=sys.stderr)
        out = {"got": got, "failed": failed, "seconds": max(issued, default=time.time()) - began, "issued": issued,
               "cpu": spent.pop("worker"), **spent,
               "idle": idle["rss"], "idle_private": idle["private"], "peak": peak_rss(worker.pid), "in_flight": most,
               "afterwards": memory(worker.pid)["rss"],
               "in_redis": (db.info("memory")["used_memory"] - used) / len(self.names), "of_it": self.sizes(db)}
        if got == len(self.names):
            s.wait_states("active", [n.partition(".")[0] for n in self.names], 30)
        return out

    def follow(self, db, seconds):
        """Reads the results until all are issued: when each was, how many failures, most orders at once."""
        issued, failed, most, at = [], 0, 0, b"0"
        deadline = time.monotonic() + seconds
        while len(issued) < len(self.names) and time.monotonic() < deadline and not self.stack.pebble.hung:
            if not self.stack.workers[0].alive():
                raise ServerError("the worker ended:\n" + self.stack.workers[0].log_tail())
            most = max(most, db.zcard(PREFIX + "run:issue"))
            for _, entries in db.xread({PREFIX + "results": at}, block=50):
                at = entries[-1][0]
                failed += sum(e[b"type"] == FAILED for _, e in entries)
                issued += [int(i.split(b"-")[0]) / 1000 for i, e in entries if e[b"type"] == ISSUED]
            time.sleep(0.02)
        return issued, failed, most

    def sizes(self, db):
        """Bytes an endpoint of its own record, of the streams, and of all else (indexes, claims, answers)."""
        total = {"record": 0, "streams": 0, "other": 0}
        for key in db.scan_iter(PREFIX + "*", count=1000):
            rest = key[len(PREFIX):]
            kind = ("record" if rest.startswith(b"e:") else
                    "streams" if rest in (b"requests", b"results", b"alerts", b"edges", b"changes") else "other")
            total[kind] += db.memory_usage(key, samples=0) or 0
        return {k: v / len(self.names) for k, v in total.items()}


# --- the table

def lego_version():
    done = subprocess.run([LEGO, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\S+)", done.stdout)
    return found.group(1) if found else "?"


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def rows(n, ours, lego):
    """(what, ours, lego's, whether a ratio says something)"""
    def each(key, scale=1.0, of=None):
        return [None if not r or r.get(key) is None else r[key] * scale / (of or 1) for r in (ours, lego)]

    def rate(r):
        return r["got"] / r["seconds"] if r else None

    def middle(r):
        """Of the second and third quarter, when there were enough to keep those in flight at their number."""
        if not r or n < 4 * r["in_flight"]:
            return None
        return n / 2 / (r["issued"][n * 3 // 4] - r["issued"][n // 4])

    def ceiling(r):
        return r["got"] / r["pebble"] if r else None
    yield "certificates", *each("got"), False
    yield "CPU of the client, ms a certificate", *each("cpu", 1e3, n), True
    yield "  and Redis", *each("redis", 1e3, n), False
    yield "  and the scheduler", *each("scheduler", 1e3, n), False
    total = [None if not r else (r["cpu"] + r.get("redis", 0) + r.get("scheduler", 0)) * 1e3 / n for r in (ours, lego)]
    yield "  together", *total, True
    yield "certificates a second, all in", rate(ours), rate(lego), True
    yield "  in the middle half", middle(ours), middle(lego), True
    yield "Pebble's CPU, ms a certificate", *each("pebble", 1e3, n), True
    yield "Pebble's ceiling, certificates a second", ceiling(ours), ceiling(lego), True
    yield "  reached of it, %", *[None if not r else 100 * (middle(r) or rate(r)) / ceiling(r) for r in (ours, lego)], \
        False
    edge = [None if not r else sum(r[k] for k in ("haproxy", "knot", "unbound")) * 1e3 / n for r in (ours, lego)]
    yield "HAProxy, Knot and Unbound, ms a certificate", *edge, False
    yield "orders in flight, at most", *each("in_flight"), False
    yield "resident idle, MB", *each("idle", 1 / MB), False
    yield "  private of it, MB", *each("idle_private", 1 / MB), False
    yield "resident with those in flight, MB", *each("peak", 1 / MB), True
    yield "  one process, MB", *each("one", 1 / MB), False
    flight = [None if not r else (r["peak"] - r.get("idle", 0)) / max(1, r["in_flight"]) / 1e3 for r in (ours, lego)]
    yield "  an order, kB", *flight, True
    yield "resident afterwards, MB", *each("afterwards", 1 / MB), False
    yield "Redis, bytes an endpoint, all in", *each("in_redis"), False
    yield "  without the streams", (ours["in_redis"] - ours["of_it"]["streams"] if ours else None), None, False
    for key, value in (ours or {}).get("of_it", {}).items():
        yield f"    {key}", value, None, False


def show(n, ours, lego):
    print(f"\n{n} names, one certificate each: ECDSA P-256, http-01 through HAProxy, Knot and Unbound, Pebble with "
          f"GOMAXPROCS=1,\n5 % bad nonces and 50 % reuse; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, lego "
          f"{lego_version() if lego else '-'}\n")
    print(f"{'':<45}{'certfleet':>12}{'lego':>12}{'ratio':>10}")
    for what, a, b, comparable in rows(n, ours, lego):
        ratio = ""
        if comparable and a and b:
            ratio = f"1 : {b / a:.3g}" if b >= a else f"{a / b:.3g} : 1"
        print(f"{what:<45}{number(a):>12}{number(b):>12}{ratio:>10}")
    if lego and lego["again"]:
        print(f"lego was run again {lego['again']} times after it had failed, such as: {lego['why'].strip()}")
    if ours and ours["failed"]:
        print(f"certfleet said certfleet.issuance.failed {ours['failed']} times.")


def contend(name, make, n):
    folder = tempfile.mkdtemp(prefix=f"certfleet-bench-{name}-")
    try:
        result = make(folder).run()
    except ServerError as e:
        print(f"issue_bench: {name}: {e}; see {folder}", file=sys.stderr)
        return None
    if result["got"] < n:
        print(f"issue_bench: {name}: {result['got']} of {n}; see {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def main():
    parser = argparse.ArgumentParser(description="What a certificate costs: certfleet beside lego.")
    parser.add_argument("n", nargs="?", type=int, default=200, help="names (200)")
    parser.add_argument("--parallel", type=int, metavar="P",
                        help="orders, or lego processes, at once (N, but at most 200)")
    parser.add_argument("--only", choices=("certfleet", "lego"))
    parser.add_argument("--profile", metavar="FILE", help="record the worker by perf into FILE")
    args = parser.parse_args()
    die_with_signals()
    names = names_for(args.n)
    parallel = args.parallel or min(args.n, 200)
    contenders = {"certfleet": lambda folder: Certfleet(folder, names, parallel, args.profile),
                  "lego": lambda folder: Lego(folder, names, parallel)}
    results = {name: contend(name, make, args.n) for name, make in contenders.items() if args.only in (None, name)}
    show(args.n, results.get("certfleet"), results.get("lego"))
    return 0 if all(r and r["got"] == args.n for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
