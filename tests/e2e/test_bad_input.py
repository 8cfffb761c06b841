"""Whatever is wrong gets one clear error that names the thing and the way out, and changes nothing."""
import os
import re
import secrets

import pytest
from conftest import running_stack, stack_context
from servers import LOOPBACK, free_port, wait_until
from stack import Daemon, merge


@pytest.fixture(scope="module")
def bad():
    yield from running_stack(workers=1, schedulers=1, sync=False)


def config_with(stack, changes=None, edit=None):
    """The path of a copy of the configuration with changes, or with its text edited."""
    own = {"scheduler": {"listen": f"{LOOPBACK}:{free_port()}"}, "worker": {
        "name": "changed", "http_01": {"listen": [f"{LOOPBACK}:{free_port()}"]},
        "dns_01": {"listen": [f"{LOOPBACK}:{free_port()}"]}}}
    path = stack.write_config(stack.path("changed.yaml"), merge(own, changes or {}))
    if edit:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        assert edit[0] in text
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(*edit))
    return path


#  name                 old text                     new text                          what the error must say
CONFIG = (
    ("unknown key",     "fleet:",                    "flet: x\nfleet:",                (r"changed\.yaml:1:1", "flet")),
    ("doubled key",     "fleet:",                    'fleet: "a"\nfleet:',             (r"changed\.yaml:2:", "fleet")),
    ("wrong type",      'zones: ["acme',             'zones: "x"\n  y: ["acme',        (r"changed\.yaml:\d+:\d+", "challenges.zones")),
    ("bad duration",    'timeout: "3s"',             'timeout: "3 parsecs"',           (r"resolver\.timeout", "parsecs")),
    ("bad rate",        'profile: "default"',        'profile: "default"\n    limits: { new_orders: 3 }', ("new_orders",)),
    ("impossible",      "verify: 200",               "verify: -4",                     (r"worker\.slots\.verify", "-4")),
    ("plain http",      'directory: "https:',        'directory: "http:',              ("directory", "https")),
    ("no address",      'dns_01:\n    listen: ["127',    'dns_01:\n    listen: ["nowhere',    (r"worker\.dns_01\.listen",)),
    ("not YAML",        "fleet:",                    "fleet: [\nx:",                   (r"changed\.yaml:\d+:\d+",)),
    ("a YAML alias",    'fleet: "demo"',             "fleet: &a demo\nredis2: *a",     (r"changed\.yaml:\d+:\d+",)),
    ("no such file",    "label.key",                 "nothing.key",                    ("label_key_file", r"nothing\.key")),
)


@pytest.mark.parametrize("case", CONFIG, ids=[c[0].replace(" ", "-") for c in CONFIG])
def test_config(bad, case):
    _, old, new, parts = case
    path = config_with(bad, edit=(old, new))
    done = bad.cli("config", "check", check=False, config=path)
    print(done.stderr or done.stdout)
    assert done.returncode == 1
    for part in parts:
        assert re.search(part, done.stderr + done.stdout), done
    if case[0] == "no such file":
        return
    for program in ("certfleet-worker", "certfleet-scheduler"):
        status, log = run_daemon(bad, program, path)
        assert status == 1
        assert re.search(parts[0], log), log


def test_a_right_config_is_said_to_be_right(bad):
    assert bad.cli("config", "check").returncode == 0


def test_no_config_file(bad):
    done = bad.cli("status", check=False, config="/nonexistent/certfleet.yaml")
    assert done.returncode == 1 and "/nonexistent/certfleet.yaml" in done.stderr


class OneRun(Daemon):
    start_seconds = 25


def run_daemon(stack, program, config, seconds=20):
    """Status and log of a daemon that is expected to end by itself."""
    name = f"run-{secrets.token_hex(4)}"
    server = OneRun(stack.path(name), name, stack.program(program), config, free_port())
    server.start(wait=False)
    try:
        wait_until(f"{program} to give up", lambda: not server.alive(), seconds, 0.05)
        return server.process.returncode, server.log()
    finally:
        server.kill()


def names(count):
    return [f"n{i}.example.test" for i in range(count)]


#  what                 arguments of `endpoint add`                             status   what the error must say
ADD = (
    ("no names",        ("--type", "external"),                                 2, ("NAME",)),
    ("no type",         ("x.example.test",),                                    2, ("--type",)),
    ("unknown type",    ("x.example.test", "--type", "outer"),                  2, ("outer", "external", "internal")),
    ("unknown option",  ("x.example.test", "--tpye", "external"),               2, ("--tpye",)),
    ("empty label",     ("a..test", "--type", "internal"),                      1, (r"a\.\.test", "empty")),
    ("label of 64",     ("a" * 64 + ".test", "--type", "internal"),             1, ("63",)),
    ("name of 254",     (".".join(["a" * 49] * 5) + ".test", "--type", "internal"), 1, ("253",)),
    ("underscore",      ("a_b.test", "--type", "internal"),                     1, ("a_b",)),
    ("leading hyphen",  ("b.-a.test", "--type", "internal"),                    1, ("hyphen",)),
    ("bad IDNA",        ("xn--\u00fc.test", "--type", "internal"),              1, ("xn--",)),
    ("inner wildcard",  ("a.*.test", "--type", "internal"),                     1, (r"\*",)),
    ("public suffix",   ("co.uk", "--type", "internal"),                        1, ("co.uk", "public suffix")),
    ("wild suffix",     ("*.co.uk", "--type", "internal"),                      1, ("co.uk", "public suffix")),
    ("one label",       ("localhost", "--type", "internal"),                    1, ("localhost",)),
    ("the fleet's id",  ("x.example.test", "--type", "internal", "--id", "fleet"), 1, ("fleet", "alerts")),
    ("IPv4",            ("192.0.2.1", "--type", "internal"),                    1, ("address",)),
    ("IPv6",            ("2001:db8::1", "--type", "internal"),                  1, ("2001:db8::1",)),
    ("101 names",       (*names(101), "--type", "internal"),                    2, ("n100",)),
    ("unknown CA",      ("x.example.test", "--type", "internal", "--authority", "nobody"), 1, ("nobody", "pebble")),
    ("unknown key",     ("x.example.test", "--type", "internal", "--key-type", "dsa"), 2, ("dsa", "p256|P-256|ecdsa")),
    ("external without target", ("x.example.test", "--type", "external"),       1, ("target",)),
    ("bad id",          ("x.example.test", "--type", "internal", "--id", "../x"), 1, ("id",)),
)


@pytest.mark.parametrize("case", ADD, ids=[c[0].replace(" ", "-") for c in ADD])
def test_endpoint_add(bad, case):
    _, args, status, parts = case
    before = bad.redis.command("dbsize"), bad.states()
    done = bad.cli("endpoint", "add", *args, check=False)
    print(done.stderr or done.stdout)
    assert done.returncode == status
    for part in parts:
        assert re.search(part, done.stderr + done.stdout), done
    assert len((done.stderr + done.stdout).strip().splitlines()) <= 3
    assert bad.states() == before[1]


def test_a_name_twice_within_a_tenant(bad):
    bad.cli("endpoint", "add", "twice.internal.test", "--type", "internal", "--id", "first")
    done = bad.cli("endpoint", "add", "twice.internal.test", "--type", "internal", "--id", "second", check=False)
    print(done.stderr)
    assert done.returncode == 1
    assert "twice.internal.test" in done.stderr and "first" in done.stderr
    assert "second" not in bad.states()


def test_an_endpoint_that_is_not_there(bad):
    for command in (("endpoint", "show"), ("endpoint", "remove"), ("records",), ("certificate", "show")):
        done = bad.cli(*command, "nobody", check=False)
        assert done.returncode == 1 and "nobody" in done.stderr, command


def test_wait_for_what_does_not_come(bad):
    bad.cli("endpoint", "add", "never.internal.test", "--type", "internal", "--id", "never")
    done = bad.cli("endpoint", "wait", "never", "--state", "active", "--timeout", "2s", check=False)
    assert done.returncode == 3


def test_malformed_requests_are_answered_and_block_nothing(bad, patience):
    stream = "cf:{demo}:requests"
    head = ("specversion", "1.0", "source", "test", "time", "2026-01-01T00:00:00Z")
    for i, fields in enumerate((
            ("nonsense", "x"),
            (*head, "id", "r1"),
            (*head, "id", "r2", "type", "endpoint.explode", "data", "\x80"),
            (*head, "id", "r3", "type", "endpoint.add", "data", "not msgpack at all"),
            (*head, "id", "r4", "type", "endpoint.add", "datacontenttype", "application/json", "data", "{}"))):
        bad.redis.command("xadd", stream, "*", *fields)
    bad.cli("endpoint", "add", "after.internal.test", "--type", "internal", "--id", "after")
    assert "after" in bad.states()
    wait_until("refusals", lambda: bad.redis.command(
        "xread", "streams", "cf:{demo}:results", "0").count("certfleet.request.refused") >= 4, 20 * patience, 0.2)


def test_redis_refused(bad):
    port = free_port()
    path = config_with(bad, {"redis": {"url": f"redis://{LOOPBACK}:{port}/0"}})
    done = bad.cli("status", check=False, config=path)
    print(done.stderr)
    assert done.returncode == 1 and str(port) in done.stderr and "refused" in done.stderr.lower()


def test_redis_wrong_password(bad):
    bad.redis.command("acl", "setuser", "fleet", "on", ">right", "~*", "&*", "+@all")
    password = bad.path("wrong.password")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
        f.write("wrong\n")
    path = config_with(bad, {"redis": {"username": "fleet", "password_file": password}})
    done = bad.cli("status", check=False, config=path)
    print(done.stderr)
    assert done.returncode == 1
    assert "fleet" in done.stderr and "password" in done.stderr.lower()
    assert "wrong\n" not in done.stderr.replace("wrong.password", "")
    # Daemons say so and try again: a password may be set right at the server, too.
    for program in ("certfleet-scheduler", "certfleet-worker"):
        server = Daemon(bad.path(f"password-{program}"), program, bad.program(program), path, free_port())
        server.start(wait=False)
        try:
            wait_until(f"{program} to say so", lambda s=server: "password_file" in s.log() and "fleet" in s.log(), 10)
        finally:
            server.stop()


def test_a_wrong_vault_key_refuses_to_start(bad):
    key = bad.path("other.key")
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(secrets.token_bytes(32))
    for which in ("accounts_key_file", "certificates_key_file"):
        path = config_with(bad, {"vault": {which: key}})
        status, log = run_daemon(bad, "certfleet-worker", path)
        print(log)
        assert status == 1
        assert "other.key" in log


#  what                             changes to the authority                       what people must be told
AUTHORITIES = (
    ("untrusted",   lambda s: {"ca_file": s.haproxy.path("default.crt")},           ("certificate",)),
    ("nobody there", lambda s: {"directory": f"https://{LOOPBACK}:{free_port()}/dir"}, ("refused|connect",)),
    ("not a directory", lambda s: {"directory": f"https://{LOOPBACK}:{s.pebble.port}/nonsense"}, ("directory",)),
)


@pytest.mark.parametrize("case", AUTHORITIES, ids=[c[0].replace(" ", "-") for c in AUTHORITIES])
def test_authority(patience, case):
    """The endpoint says what is wrong with the authority, by name; nothing is ordered."""
    what, changes, parts = case
    with stack_context(workers=1, schedulers=1, sync=False) as stack:
        authority = {**stack.base_config()["authorities"][0], **changes(stack)}
        stack.workers[0].stop()
        stack.write_config(stack.worker_configs[0], {"authorities": [authority], "worker": {
            "name": "worker1", "listen": f"{LOOPBACK}:{stack.worker_health_ports[0]}",
            "http_01": {"listen": [f"{LOOPBACK}:{stack.worker_ports[0][0]}"]},
            "dns_01": {"listen": [f"{LOOPBACK}:{stack.worker_ports[0][1]}"]}}})
        stack.workers[0].start()
        name = "lost.internal.test"
        stack.knot.add(stack.challenge_cname(name))
        stack.cli("endpoint", "add", name, "--type", "internal", "--id", "lost")

        def told():
            text = stack.cli("endpoint", "show", "lost").stdout
            return text if all(re.search(p, text, re.I) for p in (*parts, "pebble")) else None
        print(wait_until(f"the endpoint to say what is wrong ({what})", told, 30 * patience, 0.3))
        assert stack.pebble.orders_added() == 0
