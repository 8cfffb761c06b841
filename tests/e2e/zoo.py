"""The zoo's servers: a small internet of its own on loopback addresses, with a root, so that anything that goes wrong
in other people's DNS can go wrong here.

    one port for all name servers (the config's resolver.authoritative_port):

    root    127.0.1.1    .       signed; Unbound has its key as trust anchor
      └─ tld    127.0.1.2    test    signed; every zone below is delegated from here
           ├─ a      127.0.1.11   zones that are put there, signed ones too
           ├─ b      127.0.1.12   the same zones with records of its own, so that the two can disagree
           ├─ six    ::1          reached by IPv6 alone
           ├─ silent 127.0.1.14   takes packets and connections, and never says a word
           ├─ no_tcp 127.0.1.15   a, but every answer by UDP is cut, and TCP is refused
           └─ nobody 127.0.1.16   no process at all
    resolver  Unbound on 127.0.0.1, validating, keeps nothing. It cannot be told another port than 53 in a delegation, so
              each zone is also a stub zone of it; its answers are those of the zone's real servers nevertheless.

    zoo = Zoo(folder).start()
    zoo.zone("shop.test")                                   # on a and b, ns1 and ns2.shop.test
    zoo.zone("safe.test", on=("a",), signed=True)           # a DS in test
    zoo.zone("bogus.test", on=("a",), signed=True, ds="wrong")
    zoo.zone("left.test", ds="stale")                       # a DS, but no signatures: as after a change of provider
    zoo.zone("half.test", servers={"ns1.half.test": ["127.0.1.11"], "ns2.half.test": [zoo.silent]}, on=("a",))
    zoo.delegate("lame.test", {"ns1.lame.test": ["127.0.1.12"]})      # b does not know it
    zoo.delegate("lost.test", {"ns1.gone-for-good.test": []})         # a name that does not exist
    zoo.add(("www.shop.test", "A", "192.0.2.1"))            # everywhere; on=("b",) for one of them
    zoo.remove(("www.shop.test", "A"), on=("b",))

A signed zone lives on one server: each would sign it with keys of its own. TTLs are 1 s unless `ttl` says otherwise.
Zones can be made at any time; many at once (`with zoo.batch():`) cost one reload of each server instead of one a zone.
"""
import base64
import contextlib
import hashlib
import os
import re
import select
import socket
import struct
import subprocess
import threading

from servers import (LOOPBACK, Knot, Server, ServerError, Unbound, dns_answers, free_port, wait_until)

ROOT, TLD, A, B, SIX = "127.0.1.1", "127.0.1.2", "127.0.1.11", "127.0.1.12", "::1"
SILENT, NO_TCP, NOBODY = "127.0.1.14", "127.0.1.15", "127.0.1.16"
WORKERS = tuple(f"127.0.1.{n}" for n in range(21, 30))  # for name servers that are ours
LOOPBACKS = (ROOT, TLD, A, B, SILENT, NO_TCP, NOBODY, *WORKERS)


def common_port():
    """A port that is free on every address of the zoo, by IPv4 and IPv6."""
    for _ in range(100):
        port = free_port()
        if all(_is_free(socket.AF_INET, address, port) for address in LOOPBACKS) and \
                _is_free(socket.AF_INET6, SIX, port):
            return port
    raise ServerError("no port is free on all of the zoo's addresses")


def _is_free(family, address, port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as s:
            try:
                s.bind((address, port))
            except OSError:
                return False
    return True


def has_ipv6():
    return _is_free(socket.AF_INET6, SIX, 0)


def _absolute(name):
    return name.rstrip(".") + "."


# --- name servers

class NameServer(Knot):
    """A knotd of one address, whose zones come and go while it runs."""

    def __init__(self, folder, name, address, port):
        self.name, self.address = name, address
        Server.__init__(self, folder)
        self.port = port
        self.socket = self.path("knot.sock")
        self.zones, self.signed = [], set()
        os.makedirs(self.path("db"), exist_ok=True)
        self.argv = ["knotd", "-c", self.path("knot.conf")]

    def write_zone(self, zone, lines, ttl=1, signed=False):
        """The file; it is served after the next start or reload()."""
        if zone not in self.zones:
            self.zones.append(zone)
        (self.signed.add if signed else self.signed.discard)(zone)
        self.write(f"{zone or 'root'}.zone",
                   f"$ORIGIN {_absolute(zone)}\n$TTL {ttl}\n@ SOA ns-of-the-zoo. hostmaster. 1 3600 600 86400 1\n"
                   + "".join(line + "\n" for line in lines))

    def write_conf(self):
        conf = (f'server:\n  rundir: "{self.folder}"\n  listen: {self.address}@{self.port}\n'
                "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
                f'control:\n  listen: "{self.socket}"\ndatabase:\n  storage: "{self.path("db")}"\n'
                "log:\n  - target: stderr\n    any: notice\n"
                "policy:\n  - id: plain\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n"
                "    propagation-delay: 0\n    rrsig-lifetime: 14d\n    rrsig-refresh: 7d\n"
                f'template:\n  - id: default\n    storage: "{self.folder}"\n    zonefile-sync: -1\n'
                "    journal-content: none\n    zonefile-load: whole\n    serial-policy: increment\nzone:\n")
        for zone in self.zones:
            conf += f'  - domain: {_absolute(zone)}\n    file: "{zone or "root"}.zone"\n'
            conf += "    dnssec-signing: on\n    dnssec-policy: plain\n" if zone in self.signed else ""
        self.write("knot.conf", conf)

    def start(self, wait=True):
        self.write_conf()
        return super().start(wait)

    def reload(self):
        self.write_conf()
        out = self._control(["reload"])
        if "error" in out:
            raise ServerError(f"{self.name} does not reload: {out}\n{self.log_tail()}")
        wait_until(f"{self.name} to serve its zones", self.ready, 20)

    def ready(self):
        return all(self._answers(z) == 0 for z in self.zones) and all(self._is_signed(z) for z in self.signed)

    def _answers(self, zone):
        if ":" not in self.address:
            return dns_answers(self.port, zone, self.address)
        return 0 if "status: NOERROR" in self.dig(zone, "SOA") else None

    def _is_signed(self, zone):
        return bool(self.keys(zone))

    def dig(self, name, kind, *args):
        return subprocess.run(["dig", f"@{self.address}", "-p", str(self.port), "+norecurse", "+tries=1", "+time=2",
                               _absolute(name), kind, *args], capture_output=True, text=True, check=False,
                              timeout=10).stdout

    def keys(self, zone):
        """Its DNSKEY records' data."""
        return [line for line in self.dig(zone, "DNSKEY", "+short").splitlines() if re.match(r"\d+ 3 \d+ ", line)]

    def ds(self, zone):
        """What its parent should say, as the data of a DS."""
        keys = self.keys(zone)
        if not keys:
            raise ServerError(f"{self.name} has no key of {zone}")
        flags, protocol, algorithm, *key = keys[0].split()
        data = struct.pack(">HBB", int(flags), int(protocol), int(algorithm)) + base64.b64decode("".join(key))
        tag = sum(byte if i & 1 else byte << 8 for i, byte in enumerate(data))
        owner = b"".join(bytes([len(x)]) + x.encode() for x in zone.split(".") if x) + b"\0"
        return f"{(tag + (tag >> 16)) & 0xffff} {algorithm} 2 {hashlib.sha256(owner + data).hexdigest()}"

    def zone_of(self, name):
        return "" if self.zones == [""] else super().zone_of(name)


class Dumb:
    """Sockets that are open, and that is all."""

    def __init__(self, address, port):
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for s in (self._udp, self._tcp):
            s.bind((address, port))
        self._tcp.listen(64)

    def stop(self):
        self._udp.close()
        self._tcp.close()


class Cutter:
    """Passes questions by UDP on to a server, and its answers back without their records and with TC set. No TCP."""

    def __init__(self, address, port, to):
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind((address, port))
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.connect((to, port))
        self._wake, self._awake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        asked = {}
        while True:
            for s in select.select([self._front, self._back, self._awake], [], [])[0]:
                if s is self._awake:
                    return
                with contextlib.suppress(OSError):
                    packet, sender = s.recvfrom(65535)
                    if s is self._front:
                        asked[packet[:2]] = sender
                        self._back.send(packet)
                    elif packet[:2] in asked:
                        self._front.sendto(self._cut(packet), asked.pop(packet[:2]))

    @staticmethod
    def _cut(packet):
        end = 12
        while packet[end]:
            end += packet[end] + 1
        return packet[:2] + bytes([packet[2] | 2, packet[3]]) + packet[4:6] + bytes(6) + packet[12:end + 5]

    def stop(self):
        self._wake.send(b"x")
        self._thread.join(5)
        for s in (self._front, self._back, self._wake, self._awake):
            s.close()


# --- all of it

class Zoo:
    silent, no_tcp, nobody = SILENT, NO_TCP, NOBODY
    workers = WORKERS

    def __init__(self, folder):
        self.folder = folder
        self.port = common_port()
        self.ipv6 = has_ipv6()
        names = [("root", ROOT), ("tld", TLD), ("a", A), ("b", B)] + ([("six", SIX)] if self.ipv6 else [])
        self.servers = {name: NameServer(os.path.join(folder, name), name, address, self.port)
                        for name, address in names}
        self.root, self.tld, self.a, self.b = (self.servers[n] for n in ("root", "tld", "a", "b"))
        self.six = self.servers.get("six")
        self.resolver = self._make_resolver(os.path.join(folder, "resolver"))
        self._aids = []
        self._batch = None
        self._delegated = {}

    # --- life

    def start(self, wait=True):
        """Everything; wait is a Server's, and here it is waited always."""
        self.root.write_zone("", ["@ NS root-ns.", f"root-ns A {ROOT}", "test NS ns.test.", f"ns.test. A {TLD}"],
                             signed=True)
        self.tld.write_zone("test", ["@ NS ns.test.", f"ns.test. A {TLD}"], signed=True)
        for server in self.servers.values():
            server.start(wait=False)
        for server in self.servers.values():
            server.wait_ready()
        self.root.add(("test", "DS", self.tld.ds("test")))
        with open(self._anchor, "w", encoding="ascii") as f:
            f.writelines(f". IN DNSKEY {key}\n" for key in self.root.keys(""))
        self.resolver.start()
        self._aids = [Dumb(SILENT, self.port), Cutter(NO_TCP, self.port, A)]
        return self

    def stop(self):
        for aid in self._aids:
            aid.stop()
        self._aids = []
        self.resolver.kill()
        for server in self.servers.values():
            server.kill()

    kill = stop  # as a Server of the stack

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _make_resolver(self, folder):
        self._anchor = os.path.join(folder, "root.key")
        return Unbound(folder, {"test": [(TLD, self.port)], "": [(ROOT, self.port)]}, extra=f"""
server:
  module-config: "validator iterator"
  trust-anchor-file: "{self._anchor}"
  val-bogus-ttl: 0
  ede: yes
  do-ip6: {"yes" if self.ipv6 else "no"}
  prefetch: no
  infra-host-ttl: 1
  key-cache-size: 0
remote-control:
  control-enable: yes
  control-interface: "{folder}/control"
  control-use-cert: no
""")

    def _stub(self, zone, addresses):
        servers = [f"{address}@{self.port}" for address in addresses]
        done = subprocess.run(["unbound-control", "-c", self.resolver.path("unbound.conf"), "stub_add", _absolute(zone),
                               *servers], capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            raise ServerError(f"the resolver takes no stub {zone}: {done.stdout}{done.stderr}")

    # --- zones

    def zone(self, name, on=("a", "b"), servers=None, records=(), signed=False, ds=None, ttl=1, apex=None):
        """A zone on some of the servers, delegated from test (or from the zone above it that is there already).

        servers: name server -> its addresses ([] for no glue); default: ns1, ns2 ... in the zone, one for each of `on`
        records: lines of a zone file
        ds: None (what is true), "none", "wrong" (another key's), "stale" (there, whether signed or not)
        apex: lines instead of the NS records that `servers` gives: a zone that disagrees with its delegation
        """
        if signed and len(on) != 1:
            raise ServerError("a signed zone lives on one server")
        servers = servers or {f"ns{i}.{name}": [self.servers[s].address] for i, s in enumerate(on, 1)}
        lines = list(apex) if apex is not None else self._delegation_lines(name, servers)
        for s in on:
            self.servers[s].write_zone(name, lines + list(records), ttl, signed)
        self._later(name, on, servers, signed, ds)

    @staticmethod
    def _delegation_lines(name, servers):
        lines = [f"{_absolute(name)} NS {_absolute(ns)}" for ns in servers]
        for ns, addresses in servers.items():
            if ns == name or ns.endswith("." + name):
                lines += [f"{_absolute(ns)} {'AAAA' if ':' in a else 'A'} {a}" for a in addresses]
        return lines

    def delegate(self, name, servers):
        """A delegation alone. Nobody may know the zone."""
        self._later(name, (), servers, False, None)

    @contextlib.contextmanager
    def batch(self):
        """Zones made inside are there when it ends."""
        self._batch = []
        try:
            yield self
        finally:
            batch, self._batch = self._batch, None
            self._apply(batch)

    def _later(self, *made):
        if self._batch is None:
            self._apply([made])
        else:
            self._batch.append(made)

    def _apply(self, batch):
        for s in dict.fromkeys(s for _, on, *_ in batch for s in on):
            self.servers[s].reload()
        edits = {}
        for name, on, servers, signed, ds in batch:
            parent, where = self._parent_of(name)
            records = [(name, "NS", _absolute(ns)) for ns in servers]
            for ns, addresses in servers.items():
                if ns.endswith("." + name):
                    records += [(ns, "AAAA" if ":" in a else "A", a) for a in addresses]
            records += [(name, "DS", data) for data in self._ds(name, on, signed, ds)]
            for s in where:
                edits.setdefault((s, parent), []).extend(records)
            addresses = [a for group in servers.values() for a in group]
            if addresses:
                self._stub(name, addresses)
            self._delegated[name] = tuple(on)
        for (s, parent), records in edits.items():
            self.servers[s].add(*records, zone=parent)

    def _parent_of(self, name):
        above = [z for z in self._delegated if name.endswith("." + z)]
        if not above:
            return "test", ("tld",)
        parent = max(above, key=len)
        return parent, self._delegated[parent]

    def _ds(self, name, on, signed, ds):
        if ds == "none" or (ds is None and not signed):
            return []
        good = self.servers[on[0]].ds(name) if signed else f"12345 13 2 {'AB' * 32}"
        return [good[:-8] + "DEADBEEF"] if ds == "wrong" else [good]

    # --- records

    def _each(self, verb, records, on):
        for name, server in self.servers.items():
            if (on is None and name not in ("root", "tld")) or (on and name in on):
                mine = [r for r in records if on or self._serves(server, r[0])]
                if mine:
                    getattr(server, verb)(*mine)

    @staticmethod
    def _serves(server, name):
        return any(name.rstrip(".") == z or name.rstrip(".").endswith("." + z) for z in server.zones)

    def add(self, *records, on=None):
        """(name, type, data) each, to every server that serves the name's zone, or to those in `on`."""
        self._each("add", records, on)

    def remove(self, *records, on=None):
        """(name, type) takes away all of the type, (name, type, data) one value."""
        self._each("remove", records, on)

    def ask(self, name, kind, *args):
        """What dig says at the resolver."""
        return subprocess.run(["dig", f"@{LOOPBACK}", "-p", str(self.resolver.port), "+tries=1", "+time=5",
                               _absolute(name), kind, *args], capture_output=True, text=True, check=False,
                              timeout=20).stdout

    def config(self):
        """What a worker's configuration says so that it lives in the zoo."""
        return {"resolver": {"servers": [f"{LOOPBACK}:{self.resolver.port}"], "timeout": "3s",
                             "roots": [f"{ROOT}:{self.port}"], "authoritative_port": self.port, "per_server": 1000},
                "network": {"allow": ["127.0.0.0/8"] + (["::1"] if self.ipv6 else [])}}
