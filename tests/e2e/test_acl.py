"""Each process under its own user of Redis (deploy/redis): what it needs is allowed, what it does not is refused.

Every stack of these tests runs so, and conftest.py holds against Redis' own ACL LOG that nothing was refused. Here the
roles that other stacks lack come in, and each user tries what is not its business.
"""
import os
import subprocess
import urllib.request

import msgpack
import pytest
import redis
from conftest import TOP, running_stack
from servers import Redis, free_port, wait_until
from stack import LOOPBACK, Worker

P = "cf:{demo}:"


@pytest.fixture(scope="module")
def fleet():
    for stack in running_stack(workers=1, schedulers=1):
        stack.workers.append(responder(stack))
        yield stack


def responder(stack):
    """A worker that only answers challenges: it has no key, and nothing of Redis but these."""
    http, dns, health = free_port(), free_port(), free_port()
    config = stack.write_config(stack.path("responder.yaml"), {
        "vault": None, "authorities": None,
        "redis": stack.redis.user("responder"),
        "worker": {"name": "responder", "roles": ["http-01", "dns-01"], "listen": f"{LOOPBACK}:{health}",
                   "http_01": {"listen": [f"{LOOPBACK}:{http}"]}, "dns_01": {"listen": [f"{LOOPBACK}:{dns}"]}}})
    return stack._start(Worker(stack.path("responder"), "responder", stack.program("certfleet-worker"), config, health,
                               http, dns))


def as_user(stack, role):
    user = stack.redis.user(role)
    with open(user["password_file"], encoding="ascii") as f:
        return redis.Redis(LOOPBACK, stack.redis.port, username=user["username"], password=f.read().strip())


def test_a_request_its_answer_and_what_came_of_it(fleet, patience):
    """The platform's own program asks, and another one listens: no certfleet command line between them."""
    requester, subscriber = as_user(fleet, "requester"), as_user(fleet, "subscriber")
    for stream in ("results", "alerts"):
        subscriber.xgroup_create(P + stream, "tests", "0", mkstream=stream == "results")
    fleet.knot.add(fleet.challenge_cname("shop.internal.test"))
    data = {"id": "shop", "names": ["shop.internal.test"], "type": "internal", "tenant": "default"}
    requester.xadd(P + "requests", {
        "id": "1", "type": "endpoint.add", "source": "acl", "subject": "shop", "time": "2026-01-01T00:00:00Z",
        "specversion": "1.0", "datacontenttype": "application/msgpack", "data": msgpack.packb(data)})
    answer = msgpack.unpackb(wait_until("the answer", lambda: requester.get(P + "req:acl:1"), 20 * patience))
    assert answer["status"] == "done" and answer["endpoint"] == "shop"
    seen = []

    def issued():
        for _, entries in subscriber.xreadgroup("tests", "one", {P + "results": ">"}, count=100) or []:
            for id, event in entries:
                seen.append(event[b"type"].decode())
                assert subscriber.xack(P + "results", "tests", id) == 1
        return "certfleet.certificate.issued" in seen
    wait_until("the certificate", issued, 60 * patience)
    assert subscriber.xpending(P + "results", "tests")["pending"] == 0


def test_the_responder_answered_and_the_edge_has_it(fleet, patience):
    """The CA is told only after every living responder gave the right answer: this one did, twice over."""
    assert fleet.workers[-1].name == "responder"
    wait_until("the edge to serve it", lambda: fleet.served("shop.internal.test"), 30 * patience)
    fleet.redis.command("set", P + "http:by-hand", "by-hand.thumbprint", "ex", "60")
    url = f"http://{LOOPBACK}:{fleet.workers[-1].http_port}/.well-known/acme-challenge/by-hand"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"by-hand.thumbprint"
    assert "responder" in fleet.cli("workers").stdout


@pytest.mark.parametrize("args", [
    "endpoint list", "endpoint show shop", "endpoint verify shop", "endpoint renew shop", "records shop",
    "certificate show shop", "alerts", "alerts --all", "results", "jobs list", "jobs retry shop", "workers", "quota",
    "status", "audit", "audit --repair", "config check"])
def test_the_operator_may(fleet, args):
    done = fleet.cli(*args.split(), check=False)
    assert "NOPERM" not in done.stderr and "ermission" not in done.stderr, done.stderr
    assert done.returncode == 0 or args.startswith(("audit", "jobs retry", "quota")), done.stderr


def test_the_whole_life_of_an_endpoint(fleet, patience):
    fleet.wait_states("active", ["shop"], 60 * patience)
    fleet.cli("endpoint", "revoke", "shop", "--reason", "superseded")
    fleet.cli("endpoint", "remove", "shop")
    wait_until("it to be gone", lambda: "shop" not in fleet.states(), 60 * patience)


# --- what each may not

ENDPOINT, CHALLENGE = ("HGETALL", P + "e:shop"), ("SET", P + "http:token", "x")
REQUEST, ALERT = ("XADD", P + "requests", "*", "a", "b"), ("XADD", P + "alerts", "*", "a", "b")
RESULT, LEADER = ("XADD", P + "results", "*", "a", "b"), ("HSET", P + "leader", "nonce", "x")
SCRIPT, ACCOUNT = ("EVAL", "return 1", "1", P), ("HGETALL", P + "acct:pebble")
WRITE = ("HSET", P + "e:shop", "s", "active")
EVERYBODY = [("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "save", ""),
             ("ACL", "LIST"), ("ACL", "SETUSER", "x"), ("SHUTDOWN",), ("MONITOR",), ("SAVE",),
             ("CLIENT", "KILL", "ID", "1"), ("CLIENT", "LIST"), ("REPLICAOF", "NO", "ONE"), ("SCRIPT", "FLUSH"),
             ("FUNCTION", "FLUSH"), ("MODULE", "LIST"), ("SORT", P + "endpoints", "ALPHA"), ("SWAPDB", "0", "1"),
             ("GET", "cf:{other}:req:a:1"), ("SET", "cf:{other}:x", "1"), ("GET", "anything"), ("SET", "anything", "1"),
             ("DEL", P + "trimmed"), ("MIGRATE", "h", "1", "k", "0", "1"), ("RANDOMKEY",)]
REFUSED = {
    "scheduler": [CHALLENGE, ACCOUNT, ("HSET", P + "w:x", "a", "b"), ("SET", P + "chain:x", "y"), ("GET", P + "http:token")],
    "worker": [REQUEST, ALERT, LEADER, ("SET", P + "req:a:1", "x"), ("SET", P + "replid", "x")],
    "responder": [ENDPOINT, CHALLENGE, REQUEST, ALERT, RESULT, LEADER, SCRIPT, ACCOUNT, WRITE, ("HSET", P + "txt:x", "y", "1"),
                  ("HMGET", P + "e:shop", "k"), ("DEL", P + "http:token"), ("ZRANGEBYSCORE", P + "endpoints", "0", "1"),
                  ("ZADD", P + "run:issue", "1", "shop"), ("GET", P + "vault:certificates"), ("GET", P + "chain:x"),
                  ("XREAD", "STREAMS", P + "results", "0"), ("PUBLISH", P + "wake:issue", "x"), ("SUBSCRIBE", P + "wake:issue"),
                  ("SCRIPT", "LOAD", "return 1"), ("INFO",)],
    "looker": [ENDPOINT, CHALLENGE, REQUEST, ALERT, RESULT, LEADER, ACCOUNT, WRITE, ("HMGET", P + "e:shop", "k"),
               ("GET", P + "vault:certificates"), ("ZADD", P + "run:issue", "1", "shop"), ("PUBLISH", P + "zone:inside", "x"),
               ("SUBSCRIBE", P + "wake:issue"), ("GET", P + "look:x"), ("XREAD", "STREAMS", P + "results", "0")],
    "notify": [ENDPOINT, CHALLENGE, REQUEST, ALERT, RESULT, LEADER, ACCOUNT, WRITE, ("XDEL", P + "alerts", "1-1"),
               ("XTRIM", P + "alerts", "MAXLEN", "0"), ("XGROUP", "DESTROY", P + "alerts", "x"),
               ("XREAD", "STREAMS", P + "results", "0")],
    "operator": [CHALLENGE, LEADER, ACCOUNT, ("SET", P + "req:a:1", "x"), ("GET", P + "vault:accounts"),
                 ("SET", P + "chain:x", "y"), ("HSET", P + "w:x", "a", "b"), ("SUBSCRIBE", P + "other")],
    "sync": [CHALLENGE, REQUEST, ALERT, RESULT, LEADER, SCRIPT, ACCOUNT, WRITE, ("GET", P + "vault:accounts"),
             ("GET", P + "http:token"), ("XADD", P + "edges", "*", "a", "b"), ("DEL", P + "e:shop"), ("SET", P + "chain:x", "y"),
             ("XREADGROUP", "GROUP", "g", "c", "STREAMS", P + "results", ">"), ("XREAD", "STREAMS", P + "alerts", "0"),
             ("ZADD", P + "endpoints", "0", "x"), ("HGETALL", P + "e:shop"), ("PUBLISH", P + "wake:issue", "x")],
    "subscriber": [ENDPOINT, CHALLENGE, REQUEST, ALERT, RESULT, LEADER, SCRIPT, ACCOUNT, WRITE, ("XDEL", P + "results", "1-1"),
                   ("XTRIM", P + "results", "MAXLEN", "0"), ("XGROUP", "DESTROY", P + "alerts", "notify"),
                   ("XGROUP", "SETID", P + "alerts", "notify", "$"), ("XREAD", "STREAMS", P + "requests", "0"),
                   ("GET", P + "req:a:1"), ("HSET", P + "trimmed", "a", "b"), ("DEL", P + "results")],
    "requester": [ENDPOINT, CHALLENGE, ALERT, RESULT, LEADER, SCRIPT, ACCOUNT, WRITE, ("SET", P + "req:a:1", "x"),
                  ("XREAD", "STREAMS", P + "requests", "0"), ("XRANGE", P + "requests", "-", "+"), ("XLEN", P + "requests"),
                  ("XDEL", P + "requests", "1-1"), ("DEL", P + "requests"), ("XREAD", "STREAMS", P + "results", "0")],
}


@pytest.mark.parametrize("role", REFUSED)
def test_nobody_may_more_than_its_role(fleet, role):
    with as_user(fleet, role) as db:
        assert db.ping()
        for command in REFUSED[role] + EVERYBODY:
            if role in ("scheduler", "worker", "operator") and command[0] == "DEL":
                continue  # the scripts that they run trim streams
            with pytest.raises(redis.exceptions.ResponseError, match="NOPERM|permission"):
                print(role, command, db.execute_command(*command))
    fleet.redis.command("acl", "log", "reset")


VALKEY = os.path.join(TOP, "build/deps/bin/valkey-server-8")


def test_valkey_takes_the_same_files(tmp_path):
    server = Redis(str(tmp_path), program=VALKEY, fleet="demo").start()
    try:
        assert server.command("config", "get", "maxmemory-policy").endswith("noeviction")
        users = server.command("acl", "users").split()
        assert {f"certfleet-{role}" for role in REFUSED} <= set(users)
    finally:
        server.stop()


def test_make_users_keeps_passwords_and_refuses_bad_names(tmp_path):
    run = [os.path.join(TOP, "deploy/redis/make_users.sh")]
    assert subprocess.run([*run, "prod", tmp_path], check=False).returncode == 0
    before = (tmp_path / "users.acl").read_text()
    assert subprocess.run([*run, "prod", tmp_path], check=False).returncode == 0
    assert (tmp_path / "users.acl").read_text() == before and "user default off" in before and "{prod}" in before
    assert oct((tmp_path / "sync.password").stat().st_mode)[-3:] == "600"
    for bad in ("", "a b", "x~*", "a/b"):
        assert subprocess.run([*run, bad, tmp_path], check=False, capture_output=True).returncode == 2


def test_nobody_comes_in_without_a_password(fleet):
    with redis.Redis(LOOPBACK, fleet.redis.port, username="certfleet-sync", password="guess") as db:
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGPASS"):
            db.ping()
    fleet.redis.command("acl", "log", "reset")
