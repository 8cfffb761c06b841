"""What a run will do: a pure function of its seed and length.

A Plan is endpoints, what is asked of them and done to their DNS, and faults, each at its second. The storm is followed
by a calm: every fault is over by then, and what is left must come to rest.

The same seed and seconds give the same plan, whatever the machine; when its steps really happened is in the history.
"""
import collections
import random

TENANTS = ("acme", "bolt", "crux")
EXTERNAL_ZONE, INTERNAL_ZONE = "example.test", "internal.test"
REASONS = ("superseded", "keyCompromise", "unspecified")
LEASE_S = 3

Endpoint = collections.namedtuple("Endpoint", "id tenant type names")
# at: second of the storm; op: add update remove verify renew revoke dns_break dns_repair subscriber_restart
Step = collections.namedtuple("Step", "at op endpoint args via")
# what: see FAULTS; target: a process; for_s: until it is undone; args: what else it needs
Fault = collections.namedtuple("Fault", "at what target for_s args")
Plan = collections.namedtuple("Plan", "seed seconds redis storm workers schedulers endpoints steps faults")

# What Redis may be. barrier: how many replicas must have what was acknowledged.
REDIS = {
    "everysec": {"sentinel": False, "appendfsync": "everysec", "barrier": 0},
    "sentinel": {"sentinel": True, "appendfsync": "everysec", "barrier": 1},
    "always": {"sentinel": False, "appendfsync": "always", "barrier": 0},
}

# name → (weight, kinds of target, least and most seconds until it is undone)
FAULTS = {
    "kill": (8, ("worker", "scheduler"), 0.1, 2.0),
    "stop": (6, ("worker", "scheduler"), 0.3, 3.0 * LEASE_S),
    "term": (3, ("worker", "scheduler"), 0.1, 1.0),
    "redis_kill": (3, ("redis",), 0.1, 2.0),
    "redis_power": (3, ("redis",), 0.1, 2.0),
    "redis_stop": (2, ("redis",), 0.3, 4.0),
    "script_flush": (2, ("redis",), 0, 0),
    "client_kill": (3, ("redis",), 0, 0),
    "cut": (4, ("worker", "scheduler"), 0, 0),
    "refuse": (3, ("worker", "scheduler"), 0.5, 1.5 * LEASE_S),
    "partition": (4, ("worker", "scheduler"), 0.5, 2.0 * LEASE_S),
    "delay": (2, ("worker", "scheduler"), 1.0, 6.0),
    "cut_before": (4, ("worker", "scheduler"), 3.0, 3.0),
    "cut_after": (6, ("worker", "scheduler"), 3.0, 3.0),
    "pebble_stop": (2, ("pebble",), 0.5, 4.0),
    "unbound_stop": (1, ("unbound",), 0.5, 4.0),
    "knot_stop": (1, ("knot",), 0.5, 4.0),
    "failover": (4, ("redis",), 6.0, 6.0),
    "primary_kill": (5, ("redis",), 4.0, 8.0),
    "primary_stop": (4, ("redis",), 4.0, 8.0),
}
STANDALONE_ONLY = {"redis_kill", "redis_power", "redis_stop"}
SENTINEL_ONLY = {"failover", "primary_kill", "primary_stop"}
REST_S = {"redis": 4}  # between two faults of one target, else 1; and 15 to follow a new primary
PROXIED = {"cut", "refuse", "partition", "delay", "cut_before", "cut_after"}
CUT_AT = {"worker": ("take", "beat", "checkpoint", "finish", "release", "claim"),
          "scheduler": ("apply", "leader", "alert", "reap", "repair")}


def make(seed, seconds, redis="everysec"):
    """seconds is the whole: a sixth of it, at least 8 s, is left for the calm to begin in."""
    rng = random.Random(f"certfleet chaos {seed} {seconds} {redis}")
    storm = max(5.0, seconds - max(8.0, seconds / 6))
    workers, schedulers = (3, 2) if seconds > 120 else (2, 2)
    n = max(16, min(80, int(seconds / 2.5)))
    endpoints = [_endpoint(rng, i) for i in range(n)]
    steps = sorted(_steps(rng, endpoints, storm), key=lambda s: s.at)
    faults = sorted(_faults(rng, storm, redis, workers, schedulers), key=lambda f: f.at)
    return Plan(seed, seconds, redis, storm, workers, schedulers, endpoints, steps, faults)


def _endpoint(rng, i):
    external = rng.random() < 0.4
    zone = EXTERNAL_ZONE if external else INTERNAL_ZONE
    names = [f"c{i}.{zone}"] + ([f"www.c{i}.{zone}"] if rng.random() < 0.2 else [])
    return Endpoint(f"c{i}", rng.choice(TENANTS), "external" if external else "internal", tuple(names))


# --- what is asked

def _steps(rng, endpoints, storm):
    for i, e in enumerate(endpoints):
        yield from _life(rng, i, e, storm)
    at = rng.uniform(2, 10)
    while at < storm:
        yield Step(round(at, 2), "subscriber_restart", "", {}, "")
        at += rng.uniform(4, 20)


def _life(rng, i, endpoint, storm):
    """One endpoint's: added in the first half, asked things of, perhaps removed. Its DNS is right in the end, but for
    that of a few: who never created a record, and who broke theirs and left it so."""
    def step(op, at, **args):
        cli = rng.random() < 0.1 and op in ("add", "remove", "verify", "renew", "revoke")
        return Step(round(at, 2), op, endpoint.id, args, "cli" if cli else "stream")
    at = rng.uniform(0, 1.0) if i % 2 else rng.uniform(0, storm * 0.5)
    if i % 16 == 5:
        yield step("add", at, names=list(endpoint.names))
        yield step("verify", at + (storm - at) * rng.random())
        return
    dns = at + (rng.uniform(0.5, 6) if rng.random() < 0.3 else -0.1)
    yield step("dns_repair", max(0, dns), names=list(endpoint.names))
    yield step("add", at, names=list(endpoint.names))
    names, extra = list(endpoint.names), 0
    at = max(at, dns) + rng.uniform(2, 8)
    while at < storm - 1:
        op = rng.choices(("renew", "update", "verify", "revoke", "dns_break", "remove"), (20, 12, 8, 2, 4, 1))[0]
        if op == "update":
            extra += 1
            names = names[:1] + [f"n{extra}.{names[0]}"] if rng.random() < 0.7 else names[:1]
            yield step("dns_repair", at - 0.05, names=names)
            yield step("update", at, names=list(names))
        elif op == "revoke":
            yield step("revoke", at, reason=rng.choice(REASONS))
        elif op == "dns_break":
            yield step("dns_break", at, names=list(names))
            if rng.random() < 0.1:
                return
            at = min(at + rng.uniform(2, 10), storm)
            yield step("dns_repair", at, names=list(names))
        elif op == "remove":
            yield step("remove", at)
            return
        else:
            yield step(op, at)
        at += rng.expovariate(1 / (6 + storm / 50)) + 1


# --- what goes wrong

def _targets(workers, schedulers):
    return {"worker": [f"worker{i + 1}" for i in range(workers)],
            "scheduler": [f"scheduler{i + 1}" for i in range(schedulers)],
            "redis": ["redis"], "pebble": ["pebble"], "unbound": ["unbound"], "knot": ["knot"]}


def possible(redis):
    """Faults that this kind of Redis knows. Sentinel tells addresses itself, so that no proxy stands between there."""
    never = STANDALONE_ONLY | PROXIED if REDIS[redis]["sentinel"] else set(SENTINEL_ONLY)
    if REDIS[redis]["appendfsync"] == "always":
        never |= {"redis_power"}
    return [name for name in FAULTS if name not in never]


def _faults(rng, storm, redis, workers, schedulers):
    """Several at once, but one target suffers one at a time."""
    names = possible(redis)
    weights = [FAULTS[name][0] for name in names]
    targets, free_at = _targets(workers, schedulers), {}
    at = 2.0
    while at < storm - 2:
        what = rng.choices(names, weights)[0]
        _, kinds, least, most = FAULTS[what]
        kind = rng.choice(kinds)
        target = rng.choice(targets[kind])
        for_s = min(rng.uniform(least, most), storm - at)
        if free_at.get(target, 0) <= at:
            yield Fault(round(at, 2), what, target, round(for_s, 2), _args(rng, what, kind))
            free_at[target] = at + for_s + REST_S.get(target, 1) + (15 if what in SENTINEL_ONLY else 0)
        at += rng.expovariate(1.0) + 0.2


def _args(rng, what, kind):
    if what in ("cut_before", "cut_after"):
        return {"script": rng.choice(CUT_AT[kind]), "times": rng.choice((1, 1, 3))}
    if what == "redis_power":
        return {"lose_s": round(rng.uniform(0.05, 1.9), 2)}
    if what == "delay":
        return {"delay_s": round(rng.uniform(0.02, 0.3), 3)}
    return {}


# --- to read

def text(plan):
    """The plan in lines, in the order of time."""
    lines = [f"seed {plan.seed}, {plan.seconds} s ({plan.storm:.0f} s of storm), {plan.redis}: {plan.workers} workers, "
             f"{plan.schedulers} schedulers, {len(plan.endpoints)} endpoints, {len(plan.steps)} steps, "
             f"{len(plan.faults)} faults"]
    for x in sorted(plan.steps + plan.faults, key=lambda x: x.at):
        if isinstance(x, Fault):
            for_s = f" for {x.for_s} s" if x.for_s else ""
            lines.append(f"{x.at:8.2f}  FAULT {x.what} {x.target}{for_s}{_words(x.args)}")
        else:
            via = " by the CLI" if x.via == "cli" else ""
            lines.append(f"{x.at:8.2f}  {x.op} {x.endpoint}{_words(x.args)}{via}")
    return "\n".join(lines)


def _words(args):
    return "".join(f" {k}={','.join(v) if isinstance(v, list) else v}" for k, v in args.items())
