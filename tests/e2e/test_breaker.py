"""When our edge, our zone or the authority fails, tries pause until a canary has passed: nobody is charged for it."""
import os
import re
import struct

import msgpack
import pytest
import redis
from conftest import running_stack, stack_module
from servers import Unbound, wait_until

CANARY = "canary.platform.test"
FAILURES, MORE = 3, 6
WAYS = ("http-01", "dns-01")
CUSTOMERS = {way: [f"c{i}-{way.replace('-', '')}" for i in range(1 + FAILURES + MORE)] for way in WAYS}


class OwnEyes(stack_module.Stack):
    """The authority asks a resolver of its own, so that it can see something else than we do."""

    def _make(self, workers, schedulers, pebble):
        super()._make(workers, schedulers, pebble)
        self.eyes = Unbound(self.path("eyes"), {
            **{zone: [("127.0.0.1", self.knot.port)] for zone in self._zones},
            stack_module.CHALLENGE_ZONE: [("127.0.0.1", dns) for _, dns in self.worker_ports]})
        self.pebble.argv[-1] = f"127.0.0.1:{self.eyes.port}"

    def start(self):
        self._start(self.eyes)
        return super().start()

    def blind(self, on):
        """The challenge zone is lost for the authority, as by a delegation that went wrong."""
        path = self.eyes.argv[-1]
        with open(path, encoding="ascii") as f:
            text = f.read()
        for _, dns in self.worker_ports:
            right = f"@{dns}\n"
            text = text.replace(f"stub-addr: 127.0.0.1{right}", f"stub-addr: 127.0.0.1@1 #{right}") if on else \
                text.replace(f"127.0.0.1@1 #{right}", f"127.0.0.1{right}")
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        self.eyes.kill()
        self.eyes.start()


@pytest.fixture(scope="module")
def stack():
    patch = pytest.MonkeyPatch()
    patch.setattr(stack_module, "Stack", OwnEyes)
    zones = (*stack_module.ZONES, *(f"{c}.test" for ids in CUSTOMERS.values() for c in ids))
    try:
        yield from running_stack(workers=2, schedulers=1, sync=False, zones=zones, pebble={"authz_reuse": 100}, config={
            "challenges": {"trust_target_cname": True},
            "breaker": {"canary": CANARY, "failures": FAILURES, "pause": "2s", "longest_pause": "3s"}})
    finally:
        patch.undo()


def breakers(stack):
    return {b["way"]: b for b in stack.cli_json("status")["breakers"]}


def canaries(stack):
    return sum(w.log().count("canary_tried") for w in stack.workers)


def customers_orders(stack):
    """All orders but the canary's: of these one a try, two when an earlier authorization was still valid."""
    log = stack.pebble.log()
    return log.count("Added order ") - canaries(stack)


def said(stack, condition):
    db = redis.Redis.from_url(stack.redis.url)
    kinds = [(msgpack.unpackb(f[b"data"]).get("key"), f[b"type"].decode()) for _, f in db.xrange("cf:{demo}:alerts")]
    return [kind.rsplit(".", 1)[1] for key, kind in kinds if key == f"fleet/{condition}"]


def add(stack, way, ids):
    """dns-01 alone, or http-01 alone."""
    for e in ids:
        name = f"www.{e}.test"
        if way == "http-01":
            stack.knot.add((name, "CNAME", stack_module.TARGET + "."))
            stack.cli("endpoint", "add", name, "--type", "external", "--target", stack_module.TARGET, "--id", e)
        else:
            stack.knot.add(stack.challenge_cname(name))
            stack.cli("endpoint", "add", name, "--type", "internal", "--id", e)


def shown(stack, ids):
    return [stack.cli_json("endpoint", "show", e) for e in ids]


@pytest.fixture(scope="module")
def armed(stack, patience):
    """The canary has passed by each way, as it does once a day."""
    stack.knot.add((CANARY, "CNAME", stack_module.TARGET + "."), stack.challenge_cname(CANARY))
    wait_until("the canary to pass by each way", lambda: {w for w, b in breakers(stack).items() if b["armed"]} == {*WAYS, "orders"},
               150 * patience, every=0.5)
    assert not stack.certificates(), "a canary spends no certificate"
    return stack


def outage(stack, on):
    """The edge is gone, and the challenge zone as the authority sees it."""
    if on:
        stack.haproxy.kill()
    stack.blind(on)  # for a moment the authority resolves nothing: before anything succeeds by http-01
    if not on:
        stack.haproxy.start()


def test_an_outage_of_ours_is_charged_to_nobody(armed, patience):
    """Both ways at once, for time's sake: each is a breaker of its own."""
    stack, all_ids = armed, [e for way in WAYS for e in CUSTOMERS[way]]
    conditions = {f"breaker_open:pebble:{way}" for way in WAYS}
    for way in WAYS:
        add(stack, way, CUSTOMERS[way][:1])
    stack.wait_states("active", [CUSTOMERS[way][0] for way in WAYS], 60 * patience)
    outage(stack, True)
    orders = customers_orders(stack)
    for way in WAYS:
        add(stack, way, CUSTOMERS[way][1:1 + FAILURES])
    wait_until("each worker to know that tries pause", lambda: all(
        f"event=tries_pause authority=pebble way={way}" in w.log() for w in stack.workers for way in WAYS), 60 * patience)
    more = [e for way in WAYS for e in CUSTOMERS[way][1 + FAILURES:]]
    for way in WAYS:
        add(stack, way, CUSTOMERS[way][1 + FAILURES:])
    wait_until("the others to wait", lambda: {(e["state"], e["reason"]) for e in shown(stack, more)}
               == {("provisioning", "waiting_breaker")}, 60 * patience)
    wait_until("the alerts", lambda: all(said(stack, c) for c in conditions), 60 * patience)
    tries = canaries(stack)
    wait_until("the canaries to fail again", lambda: canaries(stack) >= tries + 3, 60 * patience)
    assert customers_orders(stack) == orders + len(WAYS) * FAILURES, "nobody else was ordered for"
    wait_until("the first failures to be taken back",
               lambda: not any(e["issuance"]["failures"] for e in shown(stack, all_ids)), 60 * patience)
    wait_until("nothing else to be open", lambda: {a["key"] for a in stack.cli_json("alerts")["alerts"]}
               == {f"fleet/{c}" for c in conditions}, 60 * patience)
    for alert in stack.cli_json("alerts")["alerts"]:
        assert CANARY in alert["text"] and "Due renewals wait" in alert["text"] and alert["actor"] == "operator", alert
    page, metrics = stack.cli("status").stdout, stack.schedulers[0].get("/metrics")[1]
    for way in WAYS:
        assert breakers(stack)[way]["state"] in ("open", "half_open")
        assert f'certfleet_breaker_state{{authority="pebble",way="{way}"}}' in metrics and f"breaker     {way} at pebble" in page

    outage(stack, False)
    stack.wait_states("active", all_ids, 60 * patience)
    wait_until("the alerts to end", lambda: all(said(stack, c)[-1] == "resolved" for c in conditions), 60 * patience)
    assert all(said(stack, c) == ["opened", "resolved"] for c in conditions), "said once"
    assert {b["state"] for b in breakers(stack).values()} == {"closed"}
    assert customers_orders(stack) == orders + len(WAYS) * (2 * FAILURES + MORE)
    assert not stack.cli_json("alerts")["alerts"]


def set_clock(stack, seconds):
    """Of the first worker, by tests/aid/clock.c, which has the file mapped."""
    with open(os.open(stack.path("clock"), os.O_WRONLY | os.O_CREAT, 0o644), "wb") as f:
        f.write(struct.pack("=q", seconds))


def test_a_clock_that_is_not_the_authoritys_is_told(armed, patience):
    stack, condition = armed, "ca_clocks_apart"
    set_clock(stack, 0)
    stack.workers[0].env = {"LD_PRELOAD": os.path.join(stack_module.build_dir(), "tests/aid/clock.so"),
                            "CLOCK_FILE": stack.path("clock"),
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    stack.workers[0].restart()
    stack.cli("endpoint", "add", "nobody.example.test", "--type", "internal", "--id", "asks")  # whose look asks the authority
    wait_until("the authority to be asked", lambda: "worker1" in stack.cli("workers").stdout, 30 * patience)
    assert not said(stack, condition)
    set_clock(stack, -45)
    wait_until("the alert", lambda: said(stack, condition) == ["opened"], 60 * patience)
    text = next(a["text"] for a in stack.cli_json("alerts")["alerts"] if a["key"] == f"fleet/{condition}")
    assert re.fullmatch(r"the clock of the worker worker1 is 4[4-6] s behind that of pebble", text), text
    set_clock(stack, 0)
    wait_until("its end", lambda: said(stack, condition) == ["opened", "resolved"], 60 * patience)
