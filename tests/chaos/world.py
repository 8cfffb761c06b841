"""The fleet under fire: a Stack, the faults, and who asks and edits DNS."""
import os
import subprocess
import threading
import time

import msgpack
import redis
import redis.sentinel

from observe import ERRORS, AofSizes
from plan import LEASE_S, REDIS
from records import now_ms, unpack
from servers import LOOPBACK, ServerError, wait_until
from stack import TARGET, Stack, merge

FLEET = "demo"
SOURCE = "chaos"
LOOK_MS = 100       # between two looks at the AOF's length, and more
EVERYSEC_MS = 2000  # what appendfsync everysec may lose
CERTIFICATE_S = 300
CONFIG = {
    "log": {"level": "debug"},
    "worker": {"lease": f"{LEASE_S}s", "drain": "10s"},
    "alerts": {"incident": {"hold": "3s"}},
    "scheduler": {"verify_every": "15s", "verify_fast": "1s"},
}


class ChaosStack(Stack):
    """The fleet of a plan. A proxy stands before a Redis that is alone, for each of our processes, so that one of them
    can be cut off."""

    def __init__(self, plan, **kwargs):
        self.plan, self.kind = plan, REDIS[plan.redis]
        several = {"proxied": True}
        if self.kind["sentinel"]:
            several = {"redis": "sentinel", "redis_options": {"replicas": 1}}
        super().__init__(workers=plan.workers, schedulers=plan.schedulers, sync=False, config=CONFIG,
                         pebble={"validity": CERTIFICATE_S, "authz_reuse": 0}, **several, **kwargs)

    def _write_config(self):
        if not self.kind["sentinel"]:
            with open(os.path.join(self.redis.folder, "redis.conf"), "a", encoding="utf-8") as f:
                f.write(f"appendfsync {self.kind['appendfsync']}\n")
        super()._write_config()

    def base_config(self):
        return merge(super().base_config(), {"redis": {"replicas": self.kind["barrier"]}})

    @property
    def master(self):
        """The name under which the Sentinels know the primary."""
        return self.redis.config["sentinel"]["master"]

    def process(self, name):
        """The Server of a target's name."""
        ours = {s.name: s for s in self.workers + self.schedulers}
        return ours.get(name) or getattr(self, name)


class Store:
    """The Redis that is the primary now, past all proxies."""

    def __init__(self, stack):
        self.stack = stack
        self._local = threading.local()

    def client(self):
        if not getattr(self._local, "db", None):
            self._local.db = self._connect()
        return self._local.db

    def _connect(self):
        waits = {"socket_timeout": 3, "socket_connect_timeout": 1}
        if not self.stack.kind["sentinel"]:
            return redis.Redis(port=self.stack.redis.port, **waits)
        nodes = [(LOOPBACK, s.port) for s in self.stack.redis.sentinels]
        return redis.sentinel.Sentinel(nodes, sentinel_kwargs=waits).master_for(self.stack.master, **waits)

    @staticmethod
    def key(name):
        return f"cf:{{{FLEET}}}:{name}"


# --- faults

class Faults:
    """One method a fault of the plan: it does it, waits, undoes it. What was done, and when, goes into the history."""

    def __init__(self, stack, store, history):
        self.stack, self.store, self.history, self._locks = stack, store, history, {}
        self.aof = AofSizes(history, os.path.join(stack.redis.folder, "appendonlydir"))

    def inject(self, fault):
        """Unless its target still suffers from the one before: to end or to follow a new primary may take its time."""
        lock = self._locks.setdefault(fault.target, threading.Lock())
        if not lock.acquire(blocking=False):
            self.history.note(f"{fault.what} {fault.target} left out")
            return
        try:
            self._inject(fault)
        finally:
            lock.release()

    def _inject(self, fault):
        done = {"what": fault.what, "target": fault.target, "from": now_ms(), "to": 0, "args": dict(fault.args)}
        self.history.faults.append(done)
        try:
            getattr(self, "do_" + fault.what)(fault, done)
        except (*ERRORS, ServerError, subprocess.SubprocessError) as e:
            done["failed"] = str(e)
        done["to"] = now_ms()

    def _loses(self, since, cause):
        loss = {"from": since, "to": now_ms(), "cause": cause}
        self.history.losses.append(loss)
        return loss

    def do_kill(self, fault, done):
        server = self.stack.process(fault.target)
        server.kill()
        time.sleep(fault.for_s)
        server.start(wait=False)

    def do_stop(self, fault, done):
        self._freeze(self.stack.process(fault.target), fault.for_s)

    do_pebble_stop = do_unbound_stop = do_knot_stop = do_redis_stop = do_stop

    @staticmethod
    def _freeze(server, seconds):
        server.signal(19)
        try:
            time.sleep(seconds)
        finally:
            server.signal(18)

    def do_term(self, fault, done):
        server = self.stack.process(fault.target)
        done["status"] = server.stop()
        time.sleep(fault.for_s)
        server.start(wait=False)

    def do_redis_kill(self, fault, done):
        """The machine lives: what Redis had written is there. What it had put off, at most as everysec may, is not."""
        server, always = self.stack.redis, self.stack.kind["appendfsync"] == "always"
        since = now_ms()
        server.kill()
        loss = None if always else self._loses(since - EVERYSEC_MS, "Redis killed, everysec")
        time.sleep(fault.for_s)
        server.start()
        if loss:
            loss["to"] = now_ms()

    def do_redis_power(self, fault, done):
        """The machine dies: the end of the AOF that was written but perhaps not synced is gone."""
        server, lose_ms = self.stack.redis, fault.args["lose_s"] * 1000
        at = now_ms()
        server.kill()
        kept = self.aof.before(at - lose_ms)
        loss = self._loses(at - EVERYSEC_MS, f"power lost, the last {lose_ms:.0f} ms of the AOF with it")
        if kept:
            loss["from"] = kept[0] - LOOK_MS
            done["bytes_lost"] = os.path.getsize(kept[1]) - kept[2]
            os.truncate(kept[1], kept[2])
        time.sleep(fault.for_s)
        server.start()
        loss["to"] = now_ms()

    def do_script_flush(self, fault, done):
        self.store.client().script_flush()

    def do_client_kill(self, fault, done):
        done["killed"] = self.store.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    # Of several under Sentinels.

    def _demoted(self, server, loss):
        """Until it has followed the new primary; what it took by then is lost."""
        def follows():
            try:
                return "master_link_status:up" in server.command("info", "replication")
            except subprocess.SubprocessError:
                return False
        try:
            wait_until(f"{server.name} to be a replica", follows, 60, 0.2)
        finally:
            loss["to"] = now_ms()

    def do_primary_kill(self, fault, done):
        server = self.stack.primary()
        done["server"] = server.name
        loss = self._loses(now_ms() - EVERYSEC_MS, f"the primary {server.name} killed")
        server.kill()
        time.sleep(fault.for_s)
        server.start()
        self._demoted(server, loss)

    def do_primary_stop(self, fault, done):
        server = self.stack.primary()
        done["server"] = server.name
        loss = self._loses(now_ms() - EVERYSEC_MS, f"the primary {server.name} stopped")
        self._freeze(server, fault.for_s)
        time.sleep(0.5)
        if server is not self.stack.primary():
            self._demoted(server, loss)
        loss["to"] = now_ms()

    def do_failover(self, fault, done):
        """An operator's, with everything alive."""
        server = self.stack.primary()
        done["server"] = server.name
        loss = self._loses(now_ms() - EVERYSEC_MS, f"failover from {server.name}")
        self.stack.redis.sentinels[0].command("sentinel", "failover", self.stack.master)
        self._demoted(server, loss)

    # Between one process and Redis.

    def do_cut(self, fault, done):
        done["connections"] = self.stack.proxies[fault.target].cut()

    def do_refuse(self, fault, done):
        proxy = self.stack.proxies[fault.target]
        proxy.refuse()
        time.sleep(fault.for_s)
        proxy.accept()

    def do_partition(self, fault, done):
        proxy = self.stack.proxies[fault.target]
        proxy.partition()
        time.sleep(fault.for_s)
        proxy.heal()

    def do_delay(self, fault, done):
        proxy = self.stack.proxies[fault.target]
        proxy.delay_s = fault.args["delay_s"]
        time.sleep(fault.for_s)
        proxy.delay_s = 0

    def _rule(self, fault, done, make):
        rule = make(fault.args["script"], times=fault.args["times"])
        time.sleep(fault.for_s)
        rule.drop()
        done["hits"] = rule.hits

    def do_cut_before(self, fault, done):
        self._rule(fault, done, self.stack.proxies[fault.target].cut_before)

    def do_cut_after(self, fault, done):
        self._rule(fault, done, self.stack.proxies[fault.target].cut_after)


# --- who asks, and the owners of the domains

class People:
    """Asks the fleet over its stream or by the CLI, and edits the customers' DNS; notes what was answered."""

    def __init__(self, stack, store, history, plan):
        self.stack, self.store, self.history = stack, store, history
        self.endpoints = {e.id: e for e in plan.endpoints}
        self.over = threading.Event()
        self._locks = {e.id: threading.Lock() for e in plan.endpoints}
        self._knot, self._present = threading.Lock(), set()
        self._count, self._counting = 0, threading.Lock()

    def do(self, step):
        """One step; those of one endpoint come one after the other."""
        with self._locks[step.endpoint]:
            if step.op.startswith("dns_"):
                self.edit_dns(step)
            elif step.via == "cli":
                self.ask_by_cli(step)
            else:
                self.ask(step.op, step.endpoint, step.args, seconds=15)

    # asking

    def data(self, op, endpoint, args):
        e = self.endpoints[endpoint]
        if op == "add":
            external = {"target": TARGET} if e.type == "external" else {}
            return {"id": e.id, "tenant": e.tenant, "names": args["names"], "type": e.type, **external}
        return {"id": e.id, **args}

    def ask(self, op, endpoint, args, seconds):
        with self._counting:
            self._count += 1
            name = f"a{self._count}"
        record = {"source": SOURCE, "id": name, "op": op, "endpoint": endpoint, "data": self.data(op, endpoint, args),
                  "sent": now_ms(), "answered": 0, "status": "", "code": "", "via": "stream", "times": 0}
        self.history.asks.append(record)
        return self.ask_again(record, seconds)

    def ask_again(self, record, seconds):
        """Sends it until it is answered: each time the same request, whatever became of the one before."""
        end, next_send = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            try:
                db = self.store.client()
                if time.monotonic() >= next_send:
                    next_send = time.monotonic() + 4
                    record["times"] += 1
                    db.xadd(self.store.key("requests"), {
                        "id": record["id"], "source": SOURCE, "type": "endpoint." + record["op"], "specversion": "1.0",
                        "data": msgpack.packb(record["data"], use_bin_type=False)})
                answer = db.get(self.store.key(f"req:{SOURCE}:{record['id']}"))
                if answer:
                    said = unpack(answer)
                    record.update(answered=now_ms(), status=said["status"], code=said["code"])
                    return True
            except ERRORS:
                time.sleep(0.2)
            time.sleep(0.05)
        return False

    def ask_by_cli(self, step):
        e, args = self.endpoints[step.endpoint], step.args
        words = {"add": [*args.get("names", ()), "--type", e.type, "--id", e.id, "--tenant", e.tenant,
                         *(["--target", TARGET] if e.type == "external" else [])],
                 "revoke": [e.id, "--reason", args.get("reason", "")]}.get(step.op, [e.id])
        record = {"source": "cli", "id": "", "op": step.op, "endpoint": e.id, "data": self.data(step.op, e.id, args),
                  "sent": now_ms(), "answered": 0, "status": "", "code": "", "via": "cli", "times": 1}
        self.history.asks.append(record)
        done = self.stack.cli("endpoint", step.op, *words, "--timeout", "10", check=False, timeout=90)
        if done.returncode in (0, 1):
            record.update(answered=now_ms(), status="done" if done.returncode == 0 else "refused")
        record["said"] = (done.stdout + done.stderr).strip()

    # DNS

    def records(self, endpoint, names):
        """What the owner must create. External ones prove their tenant by a TXT and are validated by http-01."""
        e = self.endpoints[endpoint]
        if e.type == "internal":
            return [self.stack.challenge_cname(n, e.tenant) for n in names]
        return [r for n in names for r in ((n, "CNAME", TARGET + "."),
                                           (f"_certfleet.{n}", "TXT", self.stack.label(n, e.tenant)))]

    def edit_dns(self, step):
        right = step.op == "dns_repair"
        records = self.records(step.endpoint, step.args["names"])
        self._edit(right, records)
        self.history.dns.append({"at": now_ms(), "endpoint": step.endpoint, "names": step.args["names"],
                                 "right": right})

    def _edit(self, right, records):
        """Only what differs from what was put; Knot may stand still meanwhile, and then it is not known what it did."""
        with self._knot:
            wanted = [r for r in records if (r in self._present) != right]
            if wanted:
                wait_until("Knot to take an edit", lambda: self._edited(right, wanted), 60, 0.3)
            (self._present.update if right else self._present.difference_update)(records)

    def _edited(self, right, records):
        try:
            (self.stack.knot.add if right else self.stack.knot.remove)(*records)
            return True
        except subprocess.SubprocessError:
            return False
        except ServerError as e:
            return "error: (no such" in str(e) or "already exists" in str(e)
