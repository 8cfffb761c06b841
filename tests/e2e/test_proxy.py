"""The proxy that breaks connections to Redis for other tests: what it says it does, it does."""
import socket

import pytest
from proxy import Proxy, script_names
from servers import LOOPBACK, Redis, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    redis = Redis(str(tmp_path_factory.mktemp("proxy"))).start()
    yield redis
    redis.stop()


@pytest.fixture
def proxy(server):
    server.command("flushall")
    with Proxy(lambda: (LOOPBACK, server.port)) as p:
        yield p


class Client:
    """Sends commands and gives the raw replies; EOFError when the connection has ended."""

    def __init__(self, proxy, name=None, timeout=10):
        self.socket = socket.create_connection((LOOPBACK, proxy.port), timeout=timeout)
        if name:
            assert self("CLIENT", "SETNAME", name) == b"+OK\r\n"

    def send(self, *args):
        parts = [str(a).encode() for a in args]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def __call__(self, *args):
        self.send(*args)
        return self.reply()

    def reply(self):
        try:
            answer = self.socket.recv(65536)
        except ConnectionError:
            answer = b""
        if not answer:
            raise EOFError
        return answer


def test_bytes_pass_whatever_their_cut(proxy, server):
    client = Client(proxy)
    assert client("SET", "a", "x" * 300000) == b"+OK\r\n"
    assert server.command("strlen", "a") == "300000"
    for byte in b"*2\r\n$6\r\nSTRLEN\r\n$1\r\na\r\n":
        client.socket.sendall(bytes([byte]))
    assert client.reply() == b":300000\r\n"
    client.socket.sendall(b"PING\r\n" * 3)
    wait_until("three inline commands", lambda: proxy.seen.get("PING") == 3)


def test_cut_before_and_after_a_command(proxy, server):
    before, after = proxy.cut_before("INCR"), proxy.cut_after("DECR")
    with pytest.raises(EOFError):
        Client(proxy)("INCR", "n")
    assert server.command("get", "n") == ""
    client = Client(proxy)
    client.send("SET", "n", 10)
    with pytest.raises(EOFError):
        while True:
            client("DECR", "n")
    assert server.command("get", "n") == "9"
    assert (before.hits, after.hits) == (1, 1)
    assert Client(proxy)("DECR", "n") == b":8\r\n", "a rule acts as often as it was told"


def test_scripts_are_known_by_their_names(proxy, server):
    sha = next(sha for sha, name in script_names().items() if name == "leader")
    rule = proxy.cut_after("leader")
    with pytest.raises(EOFError):
        Client(proxy)("EVALSHA", sha, 1, "cf:{x}:")
    assert rule.hits == 1
    assert Client(proxy)("SCRIPT", "EXISTS", sha) == b"*1\r\n:0\r\n"
    assert proxy.seen["leader"] == 1 and proxy.seen["SCRIPT EXISTS"] == 1


def test_a_held_command_goes_on(proxy, server):
    rule = proxy.hold("SET")
    client = Client(proxy)
    client.send("SET", "h", 1)
    rule.wait(10)
    assert server.command("get", "h") == ""
    assert Client(proxy)("PING") == b"+PONG\r\n", "only that connection stands still"
    rule.release()
    assert client.reply() == b"+OK\r\n"


def test_a_partition_holds_back_and_lets_go(proxy, server):
    one, other = Client(proxy, "one", timeout=1), Client(proxy, "other")
    proxy.partition("one")
    one.send("SET", "p", 1)
    with pytest.raises(TimeoutError):
        one.reply()
    assert other("GET", "p") == b"$-1\r\n"
    proxy.heal()
    one.socket.settimeout(10)
    assert one.reply() == b"+OK\r\n"
    assert proxy.cut("other") == 1
    with pytest.raises(EOFError):
        other("PING")
    assert one("PING") == b"+PONG\r\n"


def test_refused_until_accepted(proxy):
    client = Client(proxy)
    proxy.refuse()
    with pytest.raises(EOFError):
        client("PING")
    with pytest.raises(ConnectionError):
        Client(proxy)
    proxy.accept()
    assert Client(proxy)("PING") == b"+PONG\r\n"
