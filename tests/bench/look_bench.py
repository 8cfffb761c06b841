#!/usr/bin/python3
"""Looks at DNS, and the raw limit of the same servers.

usage: look_bench.py [--zones N] [--seconds S] [--profile FILE]

N zones (10,000) on a knotd with one UDP thread, two addresses; a root and a top-level domain delegate to it, and it
stands in for the resolver too. look_driver makes deep looks at www.zNNNNN.test of an external endpoint, 1,000 at once;
dnsperf asks the same server the same kinds of questions. See README.md. No timing is asserted; the status is 1 when a look
did not find what is there.
"""
import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "deploy", "demo"))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))

from servers import ServerError  # noqa: E402
from stack import die_with_signals, label  # noqa: E402
from zoo import A, B, ROOT, TLD, NameServer, common_port  # noqa: E402

KEY = b"k" * 32
HOUR = 3600
BUILD = os.path.join(TOP, os.environ.get("CERTFLEET_BUILD", "build/release"))


def zone_name(i):
    return f"z{i:05d}.test"


def zone_lines(zone):
    return [f"@ NS ns1.{zone}.", f"@ NS ns2.{zone}.", f"ns1 A {A}", f"ns2 A {B}", '@ CAA 0 issue "ca.test"',
            "www CNAME ingress.platform.test.",
            f"_acme-challenge.www CNAME {label(KEY, 'default', f'www.{zone}')}.acme.platform.test."]


class Providers(NameServer):
    """Both addresses and every zone in one process."""

    def write_conf(self):
        super().write_conf()
        with open(self.path("knot.conf"), encoding="utf-8") as f:
            conf = f.read()
        self.write("knot.conf", conf.replace(f"listen: {A}@{self.port}", f"listen: [ {A}@{self.port}, {B}@{self.port} ]"))

    def ready(self):
        return self._answers(self.zones[-1]) == 0 and self._answers(self.zones[0]) == 0


def start_servers(folder, zones):
    port = common_port()
    root = NameServer(os.path.join(folder, "root"), "root", ROOT, port)
    tld = NameServer(os.path.join(folder, "tld"), "tld", TLD, port)
    knot = Providers(os.path.join(folder, "knot"), "knot", A, port)
    knot.start_seconds = 120
    root.write_zone("", ["@ NS root-ns.", f"root-ns A {ROOT}", "test NS ns.test.", f"ns.test. A {TLD}"], HOUR)
    lines = ["@ NS ns.test.", f"ns.test. A {TLD}"]
    for zone in [zone_name(i) for i in range(zones)] + ["platform.test"]:
        lines += [f"{zone}. NS ns1.{zone}.", f"{zone}. NS ns2.{zone}.", f"ns1.{zone}. A {A}", f"ns2.{zone}. A {B}"]
    tld.write_zone("test", lines, HOUR)
    for i in range(zones):
        knot.write_zone(zone_name(i), zone_lines(zone_name(i)), HOUR)
    knot.write_zone("platform.test", ["@ NS ns1.platform.test.", "@ NS ns2.platform.test.", f"ns1 A {A}", f"ns2 A {B}",
                                      "ingress A 192.0.2.1", "ingress AAAA 2001:db8::1", "*.acme TXT x"], HOUR)
    return [server.start() for server in (root, tld, knot)]


def write_questions(path, zones):
    """What a look asks an authoritative server, in the same proportions."""
    with open(path, "w", encoding="ascii") as f:
        for i in range(zones):
            name = f"www.{zone_name(i)}"
            f.writelines(f"{owner} {kind}\n" for owner, kind in (
                (f"_acme-challenge.{name}", "CNAME"), (f"_acme-challenge.{name}", "TXT"), (name, "A"), (name, "AAAA")))


def cpu_of(argv):
    """(output, CPU seconds) of a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ServerError(f"{argv[0]}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def look(knot, root, options):
    argv = [os.path.join(BUILD, "tests/bench/look_driver"), f"{ROOT}:{root.port}", f"{A}:{knot.port}", str(options.zones),
            str(options.seconds), "1000"]
    if options.profile:
        argv = ["perf", "record", "-o", options.profile, "-g", *argv]
    server = knot.cpu_seconds()
    out, _ = cpu_of(argv)
    seen = {k: float(v) for k, v in re.findall(r"^(\w+)=([\d.]+)$", out, re.M)}
    seen["server"] = (knot.cpu_seconds() - server) / (seen["exchanges"] + seen["cold_exchanges"])
    return seen


def dnsperf(knot, questions, options):
    server = knot.cpu_seconds()
    out, cpu = cpu_of(["dnsperf", "-s", A, "-p", str(knot.port), "-d", questions, "-l", str(options.seconds), "-c", "1",
                       "-T", "1", "-q", "1000"])
    seconds, done = float(re.search(r"Run time \(s\):\s+([\d.]+)", out)[1]), int(
        re.search(r"Queries completed:\s+(\d+)", out)[1])
    return {"rate": done / seconds, "cpu": cpu / done, "server": (knot.cpu_seconds() - server) / done,
            "lost": int(re.search(r"Queries lost:\s+(\d+)", out)[1])}


def report(zones, seen, raw):
    rate, per_look = seen["exchanges"] / seen["seconds"], seen["exchanges"] / seen["looks"]
    flight = (seen["rss_most"] - seen["rss_warm"]) / 1000
    print(f"""
| {zones:,} zones, 1,000 looks at once | certfleet | dnsperf | |
| --- | ---: | ---: | ---: |
| exchanges a second | {rate:,.0f} | {raw['rate']:,.0f} | {rate / raw['rate']:.2f} : 1 |
| CPU of the asker, us an exchange | {seen['cpu'] / seen['exchanges'] * 1e6:.1f} | {raw['cpu'] * 1e6:.1f} | \
{seen['cpu'] / seen['exchanges'] / raw['cpu']:.1f} : 1 |
| CPU of the server, us an exchange | {seen['server'] * 1e6:.1f} | {raw['server'] * 1e6:.1f} | |
| exchanges a look | {per_look:.1f} | - | |
| **looks a second** | {seen['looks'] / seen['seconds']:,.0f} | - | |
| **looks a second of the worker's CPU** | {seen['looks'] / seen['cpu']:,.0f} | - | |
| resident idle, MB | {seen['rss_idle'] / 1e6:.1f} | - | |
| resident with {seen['zones_cached']:,.0f} zones cached, MB | {seen['rss_warm'] / 1e6:.1f} | - | |
| resident with 1,000 looks in flight, MB | {seen['rss_most'] / 1e6:.1f} | - | |
| a look in flight more, kB | {flight / 1e3:.1f} | - | |
| cold: exchanges a look, zones walked from the root | {seen['cold_exchanges'] / seen['cold_looks']:.1f} | - | |
""")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--zones", type=int, default=10000)
    args.add_argument("--seconds", type=float, default=8)
    args.add_argument("--profile")
    options = args.parse_args()
    die_with_signals()
    folder, servers = tempfile.mkdtemp(prefix="certfleet-bench-"), []
    try:
        servers = start_servers(folder, options.zones)
        root, _, knot = servers
        questions = os.path.join(folder, "questions")
        write_questions(questions, options.zones)
        raw = dnsperf(knot, questions, options)
        report(options.zones, look(knot, root, options), raw)
    except ServerError as e:
        sys.exit(f"look_bench: {e}")
    finally:
        for server in servers:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
