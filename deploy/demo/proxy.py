"""A TCP proxy before Redis that understands what passes, and can break it at a chosen command.

    with Proxy(lambda: ("127.0.0.1", redis.port)) as proxy:      # proxy.url is for a config's redis.url
        rule = proxy.cut_after("finish")         # the next EVALSHA of finish.lua runs, its answer never arrives
        rule.wait(10)

A rule names a script by the name of its file (`finish`, be it sent by EVALSHA or EVAL), any other command by its name
(`HGETALL`, `SCRIPT LOAD`), or is a function of the command's arguments. It acts `times` times and is then spent; hits
are counted. Rules are looked at in the order in which they were made.

    cut_before   the connection ends, Redis never sees the command
    cut_after    Redis runs it and all before it, and the connection ends without another byte to the client
    hold         the connection stands still before the command until rule.release()
    count        nothing happens

And for all that passes: partition() lets no byte through either way, open connections stay open and new ones are taken
but get no answer; heal() lets what was held flow on, as TCP does after an outage. cut() ends the connections there are,
refuse() those to come too, delay_s slows down each step to Redis. All but delay_s can be limited to clients whose CLIENT
SETNAME is `client`.

One proxy is one thread with a loop. Methods may be called from any thread. Standard library only.
"""
import asyncio
import hashlib
import importlib.util
import os
import socket
import threading

from servers import LOOPBACK, free_port

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHUNK = 1 << 16
WITH_SUBCOMMAND = {b"SCRIPT", b"CLIENT", b"CONFIG", b"XGROUP", b"XINFO", b"ACL", b"SENTINEL"}


def script_names(folder=os.path.join(TOP, "common", "lua")):
    """Script name by the SHA-1 that EVALSHA says, by the same includes as the build's."""
    spec = importlib.util.spec_from_file_location("embed", os.path.join(folder, "embed.py"))
    embed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(embed)
    files = [n for n in os.listdir(folder) if n.endswith(".lua") and not n.startswith("_")]
    return {hashlib.sha1(embed.resolve(folder, n, set()).encode()).hexdigest(): n[:-4] for n in files}


def take_commands(buffer):
    """Takes the whole commands off the buffer: yields (bytes, arguments) for each."""
    at = 0
    try:
        while True:
            end = _command_end(buffer, at)
            if end is None:
                return
            args, stop = end
            yield bytes(buffer[at:stop]), args
            at = stop
    finally:
        del buffer[:at]


def _command_end(buffer, at):
    line = buffer.find(b"\r\n", at)
    if line < 0:
        return None
    if buffer[at:at + 1] != b"*":
        return [bytes(buffer[at:line])], line + 2  # an inline command
    args, n, at = [], int(buffer[at + 1:line]), line + 2
    for _ in range(n):
        line = buffer.find(b"\r\n", at)
        if line < 0:
            return None
        length = int(buffer[at + 1:line])
        if len(buffer) < line + 2 + length + 2:
            return None
        args.append(bytes(buffer[line + 2:line + 2 + length]))
        at = line + 2 + length + 2
    return args, at


class Rule:
    """What is to happen at a command. hits counts how often it did."""

    def __init__(self, proxy, action, match, times, client):
        self._proxy, self.action, self._match, self.left, self._client = proxy, action, match, times, client
        self.hits = 0
        self.passed = threading.Event()  # the command went on to Redis
        self._hit = threading.Event()
        self._released = asyncio.Event()

    def fits(self, connection, word, args):
        if not self.left or (self._client and self._client != connection.client):
            return False
        return self._match(args) if callable(self._match) else self._match in (word, "*")

    def spend(self):
        self.hits += 1
        self.left -= 1
        self._hit.set()

    def wait(self, seconds):
        """Until it has acted once."""
        if not self._hit.wait(seconds):
            raise TimeoutError(f"no command came for the rule {self.action} {self._match} in {seconds} s")
        return self

    def release(self):
        """A hold lets go, and holds nothing more."""
        self.left = 0
        self._proxy._call(self._released.set)

    def drop(self):
        """Acts no more."""
        self.left = 0


class Connection:
    """One client's connection and its own to Redis."""

    def __init__(self, proxy, reader, writer):
        self.proxy = proxy
        self.client = ""
        self.reader, self.writer = reader, writer
        self.to_redis = self.from_redis = None
        self.muted = False

    async def run(self):
        try:
            self.from_redis, self.to_redis = await asyncio.open_connection(*self.proxy.target())
            ways = [asyncio.ensure_future(way) for way in (self.up(), self.down())]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.muted:  # until Redis has run what it was given
                await asyncio.wait(ways[1:], timeout=5)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            self.cut()

    def cut(self):
        for writer in (self.writer, self.to_redis):
            if writer:
                writer.transport.abort()

    async def up(self):
        buffer = bytearray()
        while data := await self.reader.read(CHUNK):
            buffer += data
            for raw, args in take_commands(buffer):
                if not await self.pass_on(raw, args):
                    return
            await self.proxy.flow(self)
            await self.to_redis.drain()

    async def pass_on(self, raw, args):
        """One command. False: the connection is at its end."""
        if self.to_redis.is_closing():
            return False
        word = self.proxy.word(args)
        if word == "CLIENT SETNAME":
            self.client = args[2].decode()
        rule = self.proxy.rule_for(self, word, args)
        if rule and rule.action == "cut_before":
            return False
        if rule and rule.action == "hold":
            await rule._released.wait()
        await self.proxy.flow(self)
        self.muted = bool(rule) and rule.action == "cut_after"
        self.to_redis.write(raw)
        if rule:
            rule.passed.set()
        if not self.muted:
            return True
        self.to_redis.write_eof()
        return False

    async def down(self):
        while data := await self.from_redis.read(CHUNK):
            await self.proxy.flow(self)
            if not self.muted:
                self.writer.write(data)
                await self.writer.drain()


class Proxy:
    """target() gives Redis' (host, port) whenever a client connects."""

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.delay_s = 0
        self.seen = {}  # commands by word
        self._names = script_names()
        self._rules, self._connections = [], {}  # connection → its task
        self._partitioned = {}  # client, "" for all → event that is set when it heals
        self._accepting = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self):
        return f"redis://{LOOPBACK}:{self.port}/0"

    # --- life

    def start(self):
        self._thread.start()
        self._wait(self._listen())
        return self

    def stop(self):
        if self._loop.is_closed():
            return
        self._wait(self._close())
        self._call(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    # --- rules

    def cut_before(self, match, times=1, client=None):
        return self._add("cut_before", match, times, client)

    def cut_after(self, match, times=1, client=None):
        return self._add("cut_after", match, times, client)

    def hold(self, match, times=1, client=None):
        return self._add("hold", match, times, client)

    def count(self, match, client=None):
        return self._add("count", match, float("inf"), client)

    def partition(self, client=""):
        self._wait(self._partition(client))

    def heal(self):
        self._wait(self._heal())

    def cut(self, client=None):
        """Ends the connections there are; gives how many."""
        return self._wait(self._cut(client))

    def refuse(self):
        """Ends all connections and takes no more until accept()."""
        self._wait(self._close())

    def accept(self):
        self._wait(self._listen())

    # --- what its loop does

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _call(self, function):
        self._loop.call_soon_threadsafe(function)

    def _add(self, action, match, times, client):
        rule = Rule(self, action, match, times, client)
        self._rules = [r for r in self._rules if r.left] + [rule]
        return rule

    async def _listen(self):
        if not self._accepting:
            self._accepting = asyncio.ensure_future(self._accept(socket.create_server((LOOPBACK, self.port))))
            self._accepting.add_done_callback(lambda task: task.cancelled() or task.result())

    async def _close(self):
        task, self._accepting = self._accepting, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._heal()
        await self._cut(None)

    async def _accept(self, listener):
        listener.setblocking(False)
        with listener:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                reader, writer = await asyncio.open_connection(sock=client)
                self._serve(Connection(self, reader, writer))

    def _serve(self, connection):
        self._connections[connection] = asyncio.ensure_future(connection.run())
        self._connections[connection].add_done_callback(lambda _: self._connections.pop(connection))

    async def _partition(self, client):
        self._partitioned.setdefault(client, asyncio.Event())

    async def _heal(self):
        for event in self._partitioned.values():
            event.set()
        self._partitioned = {}

    async def _cut(self, client):
        chosen = [c for c in self._connections if client in (None, c.client)]
        for connection in chosen:
            connection.cut()
        return len(chosen)

    async def flow(self, connection):
        """Stands still while the connection is partitioned."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        while self._partitioned:
            event = self._partitioned.get("") or self._partitioned.get(connection.client)
            if not event:
                return
            await event.wait()

    def word(self, args):
        name = args[0].upper()
        if name == b"EVALSHA" and len(args) > 1:
            word = self._names.get(args[1].decode(), "EVALSHA")
        elif name == b"EVAL" and len(args) > 1:
            word = self._names.get(hashlib.sha1(args[1]).hexdigest(), "EVAL")
        elif name in WITH_SUBCOMMAND and len(args) > 1:
            word = f"{name.decode()} {args[1].decode().upper()}"
        else:
            word = name.decode(errors="replace")
        self.seen[word] = self.seen.get(word, 0) + 1
        return word

    def rule_for(self, connection, word, args):
        """The first rule that the command meets, spent once; those that count see every command."""
        for rule in self._rules:
            if rule.fits(connection, word, args):
                rule.spend()
                if rule.action != "count":
                    return rule
        return None
