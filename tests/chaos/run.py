"""One run: a plan, carried out on a fleet that is watched, then calm, then everything that is left."""
import concurrent.futures
import json
import os
import subprocess
import time

import plan as planning
from check_fleet import right_names, unrest
from observe import ERRORS, GroupReader, PebbleBook, PlainReader, Snapshots
from records import FIELDS, attempts, endpoint, entry, log_line, now_ms, runs, serial
from servers import ServerError
from stack import names_of
from world import ChaosStack, Faults, People, Store

FAILURES = ("issuance_failed", "job_lost", "job_outcome_refused", "account_lost")
ASKING, BREAKING = 48, 24  # threads
CALM_S = 150               # at most, until all is at rest
PATIENCE_S = 12            # of calm, before an operator asks for what failed to be tried again


class PebbleHangs(ServerError):
    """The authority's own fault."""


class Run:
    """with-able; history is what it leaves."""

    def __init__(self, plan, history, folder, say=print, patience=1):
        self.plan, self.history, self.say, self.patience = plan, history, say, patience
        self.stack = ChaosStack(plan, folder=folder, keep=True)
        self.store = Store(self.stack)
        self.people = People(self.stack, self.store, history, plan)
        self.faults = Faults(self.stack, self.store, history)
        self.group = GroupReader(history, self.store)
        self.watches = [self.group, PlainReader(history, self.store), Snapshots(history, self.store),
                        PebbleBook(history, self.stack.pebble.log_path), self.faults.aof]
        # A process dies with the thread that started it: those that restart ours live as long as the stack.
        self.askers, self.breakers = (concurrent.futures.ThreadPoolExecutor(n) for n in (ASKING, BREAKING))
        history.settings = {"plan": planning.text(plan).splitlines()[0], "seed": plan.seed, "seconds": plan.seconds,
                            "redis": plan.redis, **planning.REDIS[plan.redis], "lease_ms": planning.LEASE_S * 1000}

    def __enter__(self):
        self.stack.__enter__()
        return self

    def __exit__(self, *exc):
        self.stack.stop()
        self.askers.shutdown(wait=False)
        self.breakers.shutdown(wait=False)

    def go(self):
        for watch in self.watches:
            watch.start()
        self.history.settings["began"] = now_ms()
        self._storm()
        self.history.settings["calm"] = now_ms()
        self._calm()
        self._end()

    # --- the storm

    def _storm(self):
        began, todo = time.monotonic(), []
        for x in sorted(self.plan.steps + self.plan.faults, key=lambda x: x.at):
            time.sleep(max(0, began + x.at - time.monotonic()))
            if isinstance(x, planning.Fault):
                todo.append(self.breakers.submit(self.faults.inject, x))
            elif x.op == "subscriber_restart":
                self.group.restart.set()
            else:
                todo.append(self.askers.submit(self.people.do, x))
            if self.stack.pebble.hung:
                raise PebbleHangs("Pebble hangs")
        for future in todo:
            future.result()
        time.sleep(max(0, began + self.plan.storm - time.monotonic()))
        self.say(f"  {len(self.plan.steps)} steps, {len(self.plan.faults)} faults; now calm")

    # --- the calm: nothing breaks any more, and all must come to rest

    def _calm(self):
        for server in self.stack.schedulers + self.stack.workers:
            server.wait_ready()
        began, retried = time.monotonic(), set()
        for record in [r for r in self.history.asks if r["via"] == "stream" and not r["answered"]]:
            self.people.ask_again(record, 60 * self.patience)
        while True:
            calm_s = time.monotonic() - began
            left = self._unrest()
            if self.stack.pebble.hung:
                raise PebbleHangs("Pebble hangs")
            if not left:
                break
            if calm_s > CALM_S * self.patience:
                self.history.note(f"not at rest after {calm_s:.0f} s of calm: {left}")
                break
            if calm_s > PATIENCE_S:
                self._retry([i for i in left if i in self.people.endpoints and i not in retried], retried)
            time.sleep(0.3)
        self.history.settings["calm_s"] = round(time.monotonic() - began, 1)
        self.history.settings["retried"] = sorted(retried)

    def _retry(self, ids, retried):
        """What failed would be tried again in a minute, in ten, in a hundred: an operator asks for it now. So he does for
        what was parked, after three lapses of which each was a fault."""
        for i in ids:
            e = self._endpoint(i)
            if e and "parked" in ((e[q] or {}).get("where") for q in ("verify", "issue")):
                retried.add(i)
                self.stack.cli("jobs", "retry", i)
            elif e and e["failures"] and e["next"] > now_ms() + 5000:
                retried.add(i)
                self.people.ask("renew", i, {}, 30)

    def _endpoint(self, i):
        return endpoint(self.store.client().hmget(self.store.key("e:" + i), FIELDS))

    def _unrest(self):
        """What is not yet as it should be in the end: by endpoint id, stream or pool."""
        db, out, right = self.store.client(), {}, right_names(self.history.dns)
        for i in db.zrange(self.store.key("endpoints"), 0, -1):
            e = self._endpoint(i.decode())
            why = e and unrest(e, set(e["names"]) <= right)
            if why:
                out[i.decode()] = why
        for stream in ("requests", "edges"):
            n = db.xlen(self.store.key(stream))
            if n:
                out[f"stream {stream}"] = n
        return out

    # --- the end

    def _end(self):
        history, stack = self.history, self.stack
        audit = stack.cli("--json", "audit", check=False, timeout=120)
        history.final["audit"] = {"status": audit.returncode, "said": json.loads(audit.stdout or "{}")}
        history.final["exit"] = {s.name: s.stop() for s in stack.schedulers + stack.workers}
        history.final["at"] = now_ms()
        for watch in self.watches:
            watch.end()
            if watch.wrong:
                raise watch.wrong
        self._read_store()
        self._read_certificates()
        self._read_logs()

    def _read_store(self):
        db, key, final = self.store.client(), self.store.key, self.history.final
        ids = [i.decode() for i in db.zrange(key("endpoints"), 0, -1)]
        final["endpoints"] = {i: self._endpoint(i) for i in ids}
        records = {k.decode().removeprefix(key("e:")) for k in db.scan_iter(match=key("e:*").replace("{", "[{]"))}
        final["stray"] = sorted(records - set(ids))
        for stream in ("results", "alerts"):
            final[stream] = [entry(stream, i, f) for i, f in db.xrange(key(stream))]
        final["alert_members"] = sorted(k.decode() for k in db.zrange(key("alerts:members"), 0, -1))
        final["alerts_open"] = sorted(k.decode() for k in db.zrange(key("alerts:open"), 0, -1))
        final["running"] = {q: [i.decode() for i in db.zrange(key("run:" + q), 0, -1)] for q in ("verify", "issue")}
        final["parked"] = {q: [i.decode() for i in db.zrange(key("parked:" + q), 0, -1)] for q in ("verify", "issue")}
        final["left"] = {s: db.xlen(key(s)) for s in ("requests", "edges")}

    def _read_certificates(self):
        """Names and status of every certificate, as the authority knows them."""
        for order in self.history.orders.values():
            if order["serial"]:
                status, pem = self.stack.pebble.certificate(order["serial"])
                self.history.certificates[serial(order["serial"])] = {"status": status, "names": list(names_of(pem))}

    def _read_logs(self):
        for worker in self.stack.workers:
            lines = [x for x in map(log_line, worker.log().splitlines()) if x]
            self.history.attempts += attempts(worker.name, lines)
            self.history.runs += runs(worker.name, lines)
            self.history.failures += [x | {"worker": worker.name} for x in lines if x["event"] in FAILURES]


def write(history, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "history.json"), "w", encoding="utf-8") as f:
        json.dump(history.as_dict(), f, indent=1)
