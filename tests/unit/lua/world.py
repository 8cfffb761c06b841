"""A fleet with something of everything, and each script called as it would be: what adversaries start from."""
import redis
from conftest import LOOK, PROVISION, REMOVE, pack

DAY = 86400000
FAR = 4102444800000
NONCE = "0123456789abcdef"


FORM = {"least": 2, "window": DAY, "what": "w", "data": {"condition": "dns_provider"}}


def caused(endpoint, open=True, cause="ns:p", **more):
    """An edge of a condition that others may have too."""
    data = {"endpoint": endpoint, "condition": "x", "tenant": "t1", "cause": cause}
    return pack({"key": f"{endpoint}/x", "open": open, "severity": 1, "data": data, **more})


def build(fleet):
    """Leaves jobs that run, are due, parked and suspect, claims of two tenants, alerts, tickets and requests."""
    db, key = fleet.db, fleet.key
    for id, tenant in (("a", "t1"), ("b", "t1"), ("c", "t2"), ("g", "t1")):
        fleet.add(id, tenant=tenant, names=[f"{id}.example", f"*.{id}.example"] if id != "c" else ["a.example"], issue=True)
    jobs = {q: {j.id: j for j in fleet.take(q, lease=DAY, nonce=q + NONCE)} for q in ("verify", "issue")}
    a = jobs["verify"]["a"]
    fleet.run("claim", "verify", "a", a.token, "a.example", 1, 0, "*.a.example", 1, 0)
    fleet.apply("update", "a", na=["new.example"], nd=["*.a.example"], t=b"entry")
    fleet.finish(jobs["issue"]["b"], "issue", p="gave_up", x=FAR, st="parked", a=[["b.example", "ca", "u1", FAR]])
    fleet.finish(jobs["verify"]["b"], n=[LOOK, 2, 0, "again"], s=["v", b"verdict"], t=[b"entry"])
    fleet.finish(jobs["verify"]["c"], n=[LOOK, 1, FAR, "later"])
    fleet.apply("remove", "g", nd=["g.example"], j=[REMOVE, 0, 0, "removed"])
    fleet.lapse("c", "issue")
    fleet.run("reap", "issue")
    fleet.take("verify", n=0, lease=DAY, worker="w2", nonce="w2" + NONCE)
    fleet.run("quota", "reserve", "a:1", 0, 0, "ca:orders", 2, DAY, 2)
    fleet.run("quota", "reserve", "", 0, 1, "ca:orders", 2, DAY, 2)
    fleet.run("leader", "hold", "n1", 0, 5000)
    fleet.run("alert", "", *[pack({"key": f"alert-{i}", "open": True, "severity": i, "data": {"text": "x"}}) for i in (0, 1)])
    silences = [{"id": i, "field": "", "pattern": f"quiet{i}", "reason": "r", "by": "me", "till": FAR} for i in ("s1", "s2")]
    for silence in silences:
        fleet.run("alert_silence", "add", pack(silence))
    fleet.run("alert", "", *[caused(e, form=FORM) for e in ("m1", "m2")], caused("m3", cause="ns:o"), caused("quiets1"), caused("quiets2"))
    fleet.run("alert_silence", "end", "s2")
    fleet.run("notify_lease", "n1", 3600000, "hook")
    db.hset(key("notify:gone"), "hook", 1)
    db.xgroup_create(key("requests"), "scheduler", mkstream=True)
    sid = db.xadd(key("requests"), {"type": "endpoint.verify"}).decode()
    db.xreadgroup("scheduler", "s1", {key("requests"): ">"})
    fleet.apply("refuse", "", src="~s", rid="r2", ans=pack([pack({"endpoint": "a"}), [["t", "i", b"data"]]]))
    db.set(key("lock"), "holder")
    for way in ("http-01", "dns-01"):
        fleet.run("breaker", "try", "ca", way, "w1", DAY)
        fleet.run("breaker", "end", "ca", way, "w1", "ok", 1, 1, "")
    for i in range(3):
        fleet.run("breaker", "note", "ca", "http-01", "fail", 1 + i, DAY, f"d{i}", f"n{i}", "c")
    fleet.run("breaker", "try", "ca", "http-01", "w1", DAY)
    fleet.run("zone_take", "inside", "w1", 1, 1000)
    fleet.run("zone_ask", "inside", b"ask", 60000)
    db.zadd(key("workers"), {"w1": fleet.now()})
    return calls(jobs, db.hget(key("e:c"), "jv"), sid)


def calls(jobs, expect, sid):
    a, i = jobs["verify"]["a"], jobs["issue"]["a"]
    everything = {"i": "a", "k": a.token, "g": 1, "w": a.want, "n": [LOOK, 2, 0, "n"], "o": [PROVISION, 1, 0, "o"],
                  "s": ["v", b"v2", "av", False], "x": 5, "st": "active", "r": "", "t": [b"t"], "d": ["*.a.example"],
                  "c": ["sha", b"chain"], "a": [["a.example", "ca", "u2", FAR]], "e": [["t", "i", b"", 0], ["t", "j", b"", 1]]}
    gone = {"i": "g", "k": jobs["issue"]["g"].token, "g": 1, "w": 9, "z": True, "d": ["g.example", "*.g.example"]}
    request = {"src": "s", "rid": "r", "op": "update", "i": "b", "ans": b"", "sid": sid, "na": ["d.example"], "ng": True,
               "nd": ["b.example"], "v": [LOOK, 0, 0, "v"], "j": [PROVISION, 1, 0, "j"], "e": [["t", "i", b""]], "t": b"t"}
    new = {**request, "op": "add", "i": "new", "c": b"c", "n": "t2", "na": ["b.example"], "nd": []}
    edge = {"key": "alert-0", "open": True, "severity": 2, "data": {"endpoint": "a", "since": 1}}
    return {
        "take": ["verify", "w1", "f" * 16, 10, DAY, 100, 0, 16],
        "take again": ["issue", "w1", "issue" + NONCE, 10, DAY, 100, 0, 16],
        "take suspects": ["issue", "w3", "e" * 16, 10, DAY, 100, 0, 16],
        "beat": ["verify", DAY, "a", a.token, "b", "stale"],
        "checkpoint": ["issue", "a", i.token, b"order", "b", "stale", b"order"],
        "finish": ["verify", pack(everything), pack({**gone, "k": "stale"})],
        "finish removal": ["issue", pack(gone)],
        "finish parks": ["issue", pack({"i": "a", "k": i.token, "g": 1, "w": 9, "p": "why", "x": -1})],
        "release": ["verify", "a", a.token, 0, "why", "b", "stale", 0, ""],
        "ask": ["issue", "b", PROVISION, 0, 0, "why", 1, "a", LOOK, 1, 0, "why", 0],
        "cancel": ["verify", "a"],
        "reap": ["verify"],
        "apply": [pack(request)],
        "apply adds": [pack(new)],
        "apply removes": [pack({**request, "op": "remove", "i": "a", "na": [], "nd": ["new.example"]})],
        "answer": ["s", "r2", sid],
        "alert": [sid, pack(edge), pack({**edge, "key": "alert-1", "open": False}), pack({**edge, "key": "alert-2"})],
        "alert joins": ["", caused("m4"), caused("m1", open=False), caused("m5", cause="ns:o", form=FORM)],
        "alert ends an incident": ["", caused("m1", open=False), caused("m2", open=False)],
        "alert_causes": [DAY, "ns:p", "ns:o"],
        "alert_silence": ["add", pack({"id": "s3", "field": "key", "pattern": "*", "reason": "r", "by": "me", "till": FAR})],
        "alert_silence mark": ["mark", "s1", 0],
        "alert_silence end": ["end", "s1"],
        "alert_silence lapse": ["lapse"],
        "notify_lease": ["n1", 1000, "hook", "other"],
        "notify_lease back": ["n1", 0, "hook"],
        "alert_snapshot": ["name", 0, 0],
        "claim": ["verify", "a", a.token, "new.example", 1, 1, "a.example", 0, 2],
        "authz_forget": ["verify", "a", a.token, "b.example", "u1"],
        "audit": ["", 64],
        "repair": ["verify", "c", expect, LOOK, 2, 0, "why"],
        "repair keep": ["verify", "c", expect, "keep"],
        "recount": ["verify", 1],
        "reindex": ["b", "", 5],
        "strays": ["", 1],
        "strays buckets": ["22 0 0", 1],
        "repair none": ["verify", "nobody", ""],
        "leader": ["hold", "n2", 0, 1000],
        "trim": ["results", 1, 0, 100],
        "fleet": [1000],
        "quota": ["reserve", "a:2", 0, 0, "ca:orders", 2, DAY, 1, "ca:other", 5, 1000, 1],
        "quota refund": ["refund", "a:1", "ca:orders", 2, DAY, 2],
        "quota block": ["block", "ca:orders", 2, DAY, FAR],
        "unlock": ["lock", "holder"],
        "breaker": ["look"],
        "breaker note": ["note", "ca", "http-01", "fail", 5, DAY, "d", "n", "a"],
        "breaker passes": ["note", "ca", "dns-01", "ok"],
        "breaker try": ["try", "other", "orders", "w1", DAY],
        "breaker end": ["end", "ca", "http-01", "w1", "fail", 1, 1, "why"],
        "breaker ends": ["end", "ca", "dns-01", "w1", "ok", 1, 1, ""],
        "publish": ["txt", "label", "value", 7200],
        "publish http": ["http", "token", "value", 7200],
        "zone_ask": ["inside", b"ask", 60000],
        "zone_ask nobody": ["outside", b"ask", 60000],
        "zone_take": ["inside", "w2", 64, 60000],
        "zone_take leaves": ["inside", "w1", 0, 1],
        "alive": ["w1", 1, 60, "beat", "1", "roles", "jobs"],
    }


class World:
    """Made once, and brought back byte for byte before each case."""

    def __init__(self, fleet):
        fleet.db.flushall()
        self.fleet = fleet
        self.calls = build(fleet)
        self.keys = sorted(fleet.db.scan(count=10000)[1])
        self.values = self.read({k: "dump" for k in self.keys})
        self.restored = self.snapshot()

    READ = {b"hash": ("hgetall",), b"string": ("get",), b"list": ("lrange", 0, -1), b"stream": ("xrange",),
            b"zset": ("zrange", 0, -1, False, True)}

    def read(self, how):
        pipe = self.fleet.db.pipeline(transaction=False)
        for key, name in how.items():
            name, *more = (name,) if isinstance(name, str) else name
            getattr(pipe, name)(key, *more)
        return dict(zip(how, pipe.execute()))

    def snapshot(self):
        kinds = self.read({k: "type" for k in self.fleet.db.scan(count=10000)[1]})
        return self.read({k: self.READ[kind] for k, kind in kinds.items()})

    def restore(self):
        pipe = self.fleet.db.pipeline(transaction=False)
        pipe.flushdb()
        for k, value in self.values.items():
            pipe.restore(k, 0, value)
        pipe.execute()

    def outcome(self, call, argv=None, before=None):
        """The reply, or None for a refusal, which must have written nothing. Whatever else Redis says is a defect.

        before: how everything is now, if that is known."""
        before = before or self.snapshot()
        try:
            return self.fleet.run(call.split()[0], *(self.calls[call] if argv is None else argv))
        except redis.ResponseError as e:
            assert str(e).startswith("CFERR E"), f"{call}: {e}"
            assert self.snapshot() == before, f"{call}: refused, but something was written: {e}"
