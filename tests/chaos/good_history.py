"""A history of two endpoints in which all went well, small enough to be read: what the checker's tests spoil.

`shop` is added, issued, renewed because it was asked to; `gone` is added and removed. Times are seconds after T.
"""
T = 1_800_000_000_000
S1, S2, S3 = "a1", "b2", "c3"


def ms(seconds):
    return T + int(seconds * 1000)


def token(seconds, n=0):
    """As take.lua makes them: 16 of the nonce, 12 of the time, 4 of the place."""
    return f"{'ab' * 8}{ms(seconds):012x}{n:04x}"


def event(at, kind, subject, id_, n=0, stream="results", **data):
    return {"stream": stream, "entry": f"{ms(at)}-{n}", "at": ms(at), "id": id_, "type": kind, "subject": subject, "data": data}


def ask(at, name, op, endpoint, **data):
    return {"source": "chaos", "id": name, "op": op, "endpoint": endpoint, "data": data, "sent": ms(at) - 20,
            "answered": ms(at) + 20, "status": "done", "code": "", "via": "stream", "times": 1}


def answer(at, name, op, endpoint, n=0, generation=1):
    return event(at, "request.done", endpoint, f"req/chaos/{name}", n, status="done", request=f"endpoint.{op}", code="",
                 generation=generation)


def certificate(at, endpoint, serial, replaced="", renewals=0):
    kind, more = ("renewed", {"replaced": replaced}) if replaced else ("issued", {})
    return event(at, f"certificate.{kind}", endpoint, f"{kind}/{endpoint}/{serial}", names=[f"{endpoint}.test"], serial=serial,
                 renewals=renewals, renew_at=ms(at + 150), not_after=ms(at + 300), **more)


def state(at, endpoint, tok, now, before, n=1):
    return event(at, "endpoint.state", endpoint, f"state:{endpoint}:{tok}", n, state=now, previous=before, reason="")


def order(at, name, serial):
    return {"order": name, "at": ms(at), "replaces": "", "finalized": ms(at) + 300, "issued": ms(at) + 310, "serial": serial}


def attempt(at, endpoint, tok, name):
    return {"at": ms(at) - 2, "worker": "worker1", "endpoint": endpoint, "token": tok, "order": name, "saved": ms(at) + 2}


def run(at, endpoint, queue, intent, n=0):
    return {"at": ms(at), "worker": "worker1", "endpoint": endpoint, "queue": queue, "intent": intent, "attempt": "1",
            "token": token(at, n)}


def snapshot(at, serial, renewals=0, generation=1, endpoint="shop"):
    return {"at": ms(at), "endpoint": endpoint, "created": ms(1), "generation": generation, "serial": serial, "state": "active",
            "renewals": renewals, "removing": False, "names": [f"{endpoint}.test"], "verify": "", "issue": ""}


def job(where="due"):
    return {"where": where, "token": "", "why": "routine", "due": ms(900)}


def endpoint():
    return {"generation": 1, "tenant": "acme", "state": "active", "names": ["shop.test"], "removing": False, "created": ms(1),
            "renew_asked": ms(10), "revoke_asked": 0, "serial": S2, "issued": ms(12), "not_after": ms(312), "renew_at": ms(162),
            "revoked": 0, "renewals": 1, "wanted": 1, "wanted_now": 1, "partial": False, "failures": 0, "code": "", "next": 0,
            "revoke_done": 0, "looked_generation": 1, "verify": job(), "issue": job(), "checkpoint": False, "dropped": [],
            "conditions": []}


def results():
    return [
        answer(1, "a1", "add", "shop"),
        event(1, "endpoint.added", "shop", "endpoint/chaos/a1", 1, generation=1, names=["shop.test"]),
        event(2, "dns.changed", "shop", f"dns/shop/{token(1.5)}"),
        state(2, "shop", token(1.5), "provisioning", ""),
        certificate(4, "shop", S1),
        state(4, "shop", token(2.5), "active", "provisioning"),
        answer(5, "a2", "add", "gone"),
        event(5, "endpoint.added", "gone", "endpoint/chaos/a2", 1, generation=1, names=["gone.test"]),
        certificate(7, "gone", S3),
        state(7, "gone", token(6), "active", ""),
        answer(10, "a3", "renew", "shop"),
        certificate(12, "shop", S2, S1, 1),
        answer(14, "a4", "remove", "gone"),
        event(15, "endpoint.removed", "gone", "removed/gone/1", names=["gone.test"]),
        state(15, "gone", token(14.5), "removing", "active"),
    ]


def alerts():
    def alert(at, kind, ordinal):
        return event(at, f"alert.{kind}", "shop", f"shop/nxdomain#{ordinal}:{kind}", stream="alerts", key="shop/nxdomain",
                     id=f"shop/nxdomain#{ordinal}")
    return [alert(16, "opened", 1), alert(18, "resolved", 1)]


def good():
    seen = [e | {"seen": e["at"] + 5} for e in results() + alerts()]
    return {
        "settings": {"seed": 1, "seconds": 60, "redis": "everysec", "lease_ms": 3000},
        "faults": [], "losses": [], "accounts": [ms(2)], "failures": [], "notes": [],
        "asks": [ask(1, "a1", "add", "shop", names=["shop.test"]), ask(5, "a2", "add", "gone", names=["gone.test"]),
                 ask(10, "a3", "renew", "shop"), ask(14, "a4", "remove", "gone")],
        "dns": [{"at": ms(0), "endpoint": i, "names": [f"{i}.test"], "right": True} for i in ("shop", "gone")],
        "seen_group": seen, "seen_plain": [dict(e) for e in seen],
        "snapshots": [snapshot(1, ""), snapshot(4, S1), snapshot(12, S2, 1)],
        "orders": {o["order"]: o for o in (order(3, "o1", S1), order(6, "o3", S3), order(11, "o2", S2))},
        "certificates": {S1: {"status": "Valid", "names": ["shop.test"]}, S2: {"status": "Valid", "names": ["shop.test"]},
                         S3: {"status": "Valid", "names": ["gone.test"]}},
        "attempts": [attempt(3, "shop", token(2.5), "o1"), attempt(6, "gone", token(6), "o3"),
                     attempt(11, "shop", token(10.5), "o2")],
        "runs": [run(1.5, "shop", "verify", "look"), run(2.5, "shop", "issue", "provision"), run(6, "gone", "issue", "provision"),
                 run(10.5, "shop", "issue", "renew"), run(14.5, "gone", "issue", "remove")],
        "final": {
            "at": ms(60), "endpoints": {"shop": endpoint()}, "stray": [], "results": results(), "alerts": alerts(),
            "alerts_open": [], "alert_members": [], "running": {"verify": [], "issue": []}, "parked": {"verify": [], "issue": []},
            "left": {"requests": 0, "edges": 0}, "audit": {"status": 0, "said": {"found": 0}},
            "exit": {"worker1": 0, "scheduler1": 0}},
    }
