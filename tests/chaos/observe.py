"""What watches a run: two subscribers of the streams, one that looks at every endpoint, one that reads Pebble's log.

Each is a thread that survives whatever happens to Redis, and writes into the History.
"""
import os
import threading

import redis
from records import FIELDS, endpoint, entry, now_ms, pebble_order

GROUP = "chaos"
ERRORS = (redis.exceptions.RedisError, OSError)


class History:
    """Everything that was seen, in lists of plain dicts; times are Unix ms. See README.md for the fields."""

    def __init__(self):
        self.faults, self.losses, self.asks, self.dns = [], [], [], []
        self.seen_group, self.seen_plain, self.snapshots = [], [], []
        self.orders, self.certificates, self.accounts = {}, {}, []
        self.attempts, self.runs, self.failures = [], [], []
        self.notes, self.final, self.settings = [], {}, {}

    def note(self, text):
        self.notes.append({"at": now_ms(), "text": text})

    def as_dict(self):
        return dict(self.__dict__)


class Watch(threading.Thread):
    """look() again and again; errors of Redis are waited out."""
    pause_s = 0.05

    def __init__(self, history):
        super().__init__(daemon=True)
        self.history, self._ends = history, threading.Event()
        self.wrong = None

    def run(self):
        try:
            while not self._ends.is_set():
                self.look_safely()
                self._ends.wait(self.pause_s)
        except Exception as e:  # pylint: disable=broad-except
            self.wrong = e
            raise

    def look_safely(self):
        try:
            self.look()
        except ERRORS:
            self._ends.wait(0.1)

    def end(self):
        """One last look at least has been taken when this returns."""
        self._ends.set()
        self.join(30)
        self.look_safely()


class GroupReader(Watch):
    """A subscriber by the rules: a group, at least once, acknowledged after it was noted; restarted when told."""

    def __init__(self, history, store):
        super().__init__(history)
        self.store, self.pending, self.restart = store, True, threading.Event()

    def look(self):
        db, streams = self.store.client(), [self.store.key("results"), self.store.key("alerts")]
        if self.restart.is_set():  # as a program that died before it acknowledged
            self.restart.clear()
            self._read(db, streams, ">")
            self.pending = True
            return
        if self.pending:
            self.pending = self._take(db, streams, "0")
        self._take(db, streams, ">")

    def _read(self, db, streams, since):
        for stream in streams:
            try:
                db.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except redis.exceptions.ResponseError as e:
                if "BUSYGROUP" not in str(e):
                    raise
        return db.xreadgroup(GROUP, "one", {s: since for s in streams}, count=500) or []

    def _take(self, db, streams, since):
        found = False
        for stream, entries in self._read(db, streams, since):
            name = stream.decode().rpartition(":")[2]
            for entry_id, fields in entries:
                if fields:
                    self.history.seen_group.append(entry(name, entry_id, fields) | {"seen": now_ms()})
                db.xack(stream, GROUP, entry_id)
                found = True
        return found


class PlainReader(Watch):
    """A subscriber without a group, which goes on behind what it saw last."""

    def __init__(self, history, store):
        super().__init__(history)
        self.store, self.last = store, {"results": "0-0", "alerts": "0-0"}

    def look(self):
        names = {self.store.key(s): s for s in self.last}
        found = self.store.client().xread({k: self.last[s] for k, s in names.items()}, count=500)
        for stream, entries in found or []:
            name = names[stream.decode()]
            for entry_id, fields in entries:
                self.history.seen_plain.append(entry(name, entry_id, fields) | {"seen": now_ms()})
                self.last[name] = entry_id


class Snapshots(Watch):
    """Every endpoint again and again; what is unlike the last time is kept."""
    pause_s = 0.2

    def __init__(self, history, store):
        super().__init__(history)
        self.store, self.last = store, {}

    def look(self):
        db, at = self.store.client(), now_ms()
        ids = [i.decode() for i in db.zrange(self.store.key("endpoints"), 0, -1)]
        pipe = db.pipeline(transaction=False)
        for i in ids:
            pipe.hmget(self.store.key("e:" + i), FIELDS)
        now = {i: endpoint(values) for i, values in zip(ids, pipe.execute())}
        for i in sorted(set(now) | set(self.last)):
            was, is_ = self.last.get(i), brief(now.get(i))
            if was != is_:
                self.history.snapshots.append({"at": at, "endpoint": i, **(is_ or {"gone": True})})
                self.last[i] = is_
        self.last = {i: x for i, x in self.last.items() if x}


def brief(e):
    """What must never go back, and what a timeline shows."""
    if not e:
        return None
    job = {q: f"{e[q]['where']} {e[q]['why']} {e[q]['token'][-6:]}".strip() if e[q] else ""
           for q in ("verify", "issue")}
    return {"created": e["created"], "generation": e["generation"], "serial": e["serial"], "state": e["state"],
            "renewals": e["renewals"], "removing": e["removing"], "names": e["names"], **job}


class PebbleBook(Watch):
    """Pebble's log with times of our own, since its own are whole seconds."""

    def __init__(self, history, path):
        super().__init__(history)
        self.path, self.at, self.rest = path, 0, b""

    def look(self):
        if os.path.getsize(self.path) == self.at:
            return
        with open(self.path, "rb") as f:
            f.seek(self.at)
            data = f.read()
        self.at += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if pebble_order(self.history.orders, now_ms(), line.decode(errors="replace")):
                self.history.accounts.append(now_ms())


class AofSizes(Watch):
    """How long the AOF was when: what a loss of power may take away."""

    def __init__(self, history, folder):
        super().__init__(history)
        self.folder, self.sizes = folder, []

    def look(self):
        path = self.path()
        if path:
            self.sizes = self.sizes[-200:] + [(now_ms(), path, os.path.getsize(path))]

    def path(self):
        names = [n for n in os.listdir(self.folder) if n.endswith(".incr.aof")] if os.path.isdir(self.folder) else []
        return os.path.join(self.folder, max(names, key=lambda n: int(n.split(".")[-3]))) if names else None

    def before(self, at):
        """(time, path, size) at the latest look before at, of the file that is written now; None if there is none."""
        path = self.path()
        return next((s for s in reversed(self.sizes) if s[0] <= at and s[1] == path), None)
