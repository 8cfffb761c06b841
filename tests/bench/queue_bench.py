#!/usr/bin/python3
"""The full life of a no-op job here, in BullMQ and in Sidekiq, on one Redis in one run.

usage: queue_bench.py [JOBS] [--tenants 1,50,500,5000] [--only NAME] [--rounds R]

Here a job is due, taken, finished and due again. The peers do as many jobs in two ways: once (all pushed in bulk, each
done once) and again (a twentieth as many, each of which pushes itself anew when it is done). Of certfleet and Sidekiq
there are rows besides in which jobs are done once that were asked for one by one ("each"), and of certfleet "once".
"""
import argparse
import collections
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import redis

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = TOP / os.environ.get("CERTFLEET_BUILD", "build/release")
MODULES = TOP / "build/deps/bullmq/node_modules"
LIVES = 20  # of a job that comes again, as all here do
TICKS = os.sysconf("SC_CLK_TCK")

Figures = collections.namedtuple("Figures", "rate server_us client_us")


class Server:
    """As a fleet's Redis is advised to be, but that the file is not rewritten in the middle."""

    def __init__(self, folder):
        self.path = folder + "/redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--dir", folder, "--save", "", "--appendonly", "yes",
             "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"], stdout=subprocess.DEVNULL)
        self.db = redis.Redis(unix_socket_path=self.path)
        wait(lambda: os.path.exists(self.path) and self.db.ping(), "redis-server does not start")

    def clear(self):
        self.db.flushall()
        self.db.bgrewriteaof()
        wait(lambda: not self.db.info("persistence")["aof_rewrite_in_progress"], "the file is not rewritten")

    def are_empty(self, lists):
        pipe = self.db.pipeline()
        for name in lists:
            pipe.llen(name)
        return not any(pipe.execute())

    def cpu(self):
        info = self.db.info("cpu")
        return info["used_cpu_user"] + info["used_cpu_sys"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def wait(condition, what, step=0.01, seconds=100):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"queue_bench: {what}")
        time.sleep(step)


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Programs:
    """A peer's processes: all are ready before the first job, so that starting them is not measured."""

    def __init__(self, workers, pusher, env=None):
        env = {**os.environ, **(env or {})}
        self.all = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True)
                    for argv in [*workers, pusher]]
        for p in self.all:
            line = p.stdout.readline()
            while line and line.strip() != "ready":
                line = p.stdout.readline()
            if not line:
                raise SystemExit(f"queue_bench: {p.args[0]} does not start")

    def measure(self, server, jobs, lists):
        pusher = self.all[-1]
        before, own, start = server.cpu(), sum(cpu_of(p.pid) for p in self.all), time.monotonic()
        pusher.stdin.write("go\n")
        pusher.stdin.flush()
        if pusher.stdout.readline().strip() != "done":
            raise SystemExit("queue_bench: the jobs were not pushed")
        wait(lambda: server.are_empty(lists) and server.are_empty(lists), "the queue is not worked off")
        seconds = time.monotonic() - start
        own = sum(cpu_of(p.pid) for p in self.all) - own
        return Figures(jobs / seconds, (server.cpu() - before) * 1e6 / jobs, own * 1e6 / jobs)

    def stop(self):
        for p in self.all:
            p.terminate()
        for p in self.all:
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def bullmq(server, jobs, lives, processes=2, workers=1, concurrency=100):
    script, env = str(HERE / "peers/bullmq.js"), {"NODE_PATH": str(MODULES), "NODE_ENV": "production"}
    node = ["node", script]
    peers = Programs([[*node, "work", server.path, str(workers), str(concurrency)]] * processes,
                     [*node, "push", server.path, str(jobs // lives), str(lives)], env)
    try:
        figures = peers.measure(server, jobs, ["bull:bench:wait", "bull:bench:active"])
    finally:
        peers.stop()
    if int(server.db.get("bull:bench:id")) != jobs or list(server.db.scan_iter("bull:bench:[0-9]*")):
        raise SystemExit("queue_bench: BullMQ has not done all jobs")
    return figures


def sidekiq(server, jobs, lives, processes=2, threads=10, each=False):
    script = str(HERE / "peers/sidekiq.rb")
    env = {"CERTFLEET_BENCH_SOCKET": server.path, "RAILS_ENV": "production", "RUBYOPT": "-W0"}
    peers = Programs([["sidekiq", "-r", script, "-c", str(threads)]] * processes,
                     ["ruby", script, server.path, str(jobs // lives), str(lives), *["each"] * each], env)
    try:
        figures = peers.measure(server, jobs, ["queue:default"])
    finally:
        peers.stop()
    if int(server.db.get("stat:processed") or 0) != jobs:
        raise SystemExit("queue_bench: Sidekiq has not done all jobs")
    return figures


def certfleet(server, jobs, tenants, *how):
    """how: bulk or each for jobs that are done once: a quarter as many, since each needs an endpoint of its own."""
    out = subprocess.run([BUILD / "tests/bench/queue_bench", str(jobs // 4 if how else jobs), "5000", str(tenants), "4", server.path, *how],
                         text=True, stdout=subprocess.PIPE, check=True).stdout
    rate, server_us, client_us = re.search(r"([\d.]+) jobs/s.*server ([\d.]+) us.*client ([\d.]+) us", out, re.S).groups()
    return Figures(float(rate), float(server_us), float(client_us))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="?", type=int, default=60000)
    parser.add_argument("--tenants", default="1,50,500,5000")
    parser.add_argument("--only", choices=["certfleet", "bullmq", "sidekiq"])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    contenders = {f"certfleet, {t} tenant{'s' * (t != '1')}": lambda s, n, t=t: certfleet(s, n, int(t))
                  for t in args.tenants.split(",")} | {
                      f"{peer.__name__}, {how}": lambda s, n, peer=peer, lives=lives: peer(s, n, lives)
                      for peer in (bullmq, sidekiq) for how, lives in (("once", 1), ("again", LIVES))}
    contenders |= {"certfleet, 50 tenants, once": lambda s, n: certfleet(s, n, 50, "bulk"),
                   "certfleet, 50 tenants, each": lambda s, n: certfleet(s, n, 50, "each"),
                   "sidekiq, each": lambda s, n: sidekiq(s, n, 1, each=True)}
    contenders = {k: f for k, f in contenders.items() if not args.only or k.startswith(args.only)}
    figures = {name: [] for name in contenders}
    folder = tempfile.mkdtemp(prefix="cf-queue-bench-")
    server = Server(folder)
    try:
        for _ in range(args.rounds):
            for name, run in contenders.items():
                server.clear()
                figures[name].append(run(server, args.jobs))
    finally:
        server.stop()
        shutil.rmtree(folder)
    medians = {name: Figures(*map(statistics.median, zip(*rows))) for name, rows in figures.items()}
    report(args, medians)


def report(args, medians):
    def best(how):
        return max((f.rate for name, f in medians.items() if name.endswith(how) and not name.startswith("certfleet")), default=0)

    print(f"{args.jobs} no-op jobs each, median of {args.rounds}, redis-server with appendfsync everysec")
    print(f"{'':28}{'jobs/s':>10}{'server us/job':>15}{'client us/job':>15}{'of best once':>15}{'of best again':>15}{'of best each':>15}")
    for name, f in medians.items():
        ratios = "".join(f"{f.rate / best(how):>15.2f}" if best(how) else f"{'-':>15}" for how in ("once", "again", "each"))
        print(f"{name:28}{f.rate:>10.0f}{f.server_us:>15.1f}{f.client_us:>15.1f}{ratios}")


if __name__ == "__main__":
    main()
