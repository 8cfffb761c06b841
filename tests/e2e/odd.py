"""DNS that no sane server gives, and a way to a resolver that can be shut.

OddServer: answers by UDP and TCP whatever it was told, right or not: CNAMEs beside other records, at an apex, SERVFAIL
for one type. Gate: passes questions by UDP on to a resolver while it is open, and says nothing while it is shut.
"""
import contextlib
import select
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "DS": 43, "DNSKEY": 48, "CAA": 257}


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.strip(".").split(".") if x) + b"\0"


def rdata(kind, data):
    if kind in ("CNAME", "NS"):
        return wire(data)
    if kind == "A":
        return socket.inet_aton(data)
    if kind == "TXT":
        return bytes([len(data)]) + data.encode()
    if kind == "SOA":
        return wire(data) + wire("hostmaster") + struct.pack(">IIIII", 1, 3600, 600, 86400, 1)
    raise ValueError(kind)


class Loop:
    """A thread that is woken to end."""

    def __init__(self, sockets):
        self._sockets = sockets
        self._wake, self._awake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            for s in select.select([*self._sockets, self._awake], [], [])[0]:
                if s is self._awake:
                    return
                with contextlib.suppress(OSError):
                    self.take(s)

    def stop(self):
        self._wake.send(b"x")
        self._thread.join(5)
        for s in (*self._sockets, self._wake, self._awake):
            s.close()


class OddServer(Loop):
    """zones: the apexes; records: (name, type, data); failing: (name, type) that are answered with SERVFAIL."""

    def __init__(self, address, port, zones, records, failing=()):
        self.zones, self.records, self.failing = zones, list(records), set(failing)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for s in (self.udp, self.tcp):
            s.bind((address, port))
        self.tcp.listen(16)
        super().__init__([self.udp, self.tcp])

    def take(self, s):
        if s is self.udp:
            packet, sender = s.recvfrom(4096)
            self.udp.sendto(self.answer(packet), sender)
            return
        connection, _ = s.accept()
        with connection:
            connection.settimeout(2)
            size = struct.unpack(">H", connection.recv(2))[0]
            reply = self.answer(connection.recv(size))
            connection.sendall(struct.pack(">H", len(reply)) + reply)

    def answer(self, packet):
        end, labels = 12, []
        while packet[end]:
            labels.append(packet[end + 1:end + 1 + packet[end]].decode().lower())
            end += packet[end] + 1
        question = packet[12:end + 5]
        number = struct.unpack(">H", packet[end + 1:end + 3])[0]
        kind = next((k for k, n in TYPES.items() if n == number), "?")
        name = ".".join(labels)
        zone = next((z for z in self.zones if name == z or name.endswith("." + z)), None)
        if zone is None:
            return self.reply(packet, question, 5, [], [])
        if (name, kind) in self.failing:
            return self.reply(packet, question, 2, [], [])
        here = [r for r in self.records if r[0] == name and r[1] == kind]
        if not here:
            here = [r for r in self.records if r[0] == name and r[1] == "CNAME"]
        soa = [] if here else [r for r in self.records if r[0] == zone and r[1] == "SOA"]
        known = any(r[0] == name or r[0].endswith("." + name) for r in self.records)
        return self.reply(packet, question, 0 if known else 3, here, soa)

    @staticmethod
    def reply(packet, question, rcode, answers, authority):
        def record(r):
            data = rdata(r[1], r[2])
            return wire(r[0]) + struct.pack(">HHIH", TYPES[r[1]], 1, 1, len(data)) + data
        return (packet[:2] + bytes([0x84, rcode]) + struct.pack(">HHHH", 1, len(answers), len(authority), 0) + question
                + b"".join(map(record, answers + authority)))


class Gate(Loop):
    def __init__(self, address, port, to):
        self.open = True
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind((address, port))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect(to)
        self.asked = {}
        super().__init__([self.front, self.back])

    def take(self, s):
        packet, sender = s.recvfrom(65535)
        if not self.open:
            return
        which = packet[:2] + packet[12:skip_name(packet, 12) + 2]
        if s is self.front:
            self.asked[which] = sender
            self.back.send(packet)
        else:
            to = self.asked.pop(which, None)
            if to:
                self.front.sendto(packet, to)


def skip_name(message, at):
    while message[at]:
        if message[at] & 0xc0:
            return at + 2
        at += message[at] + 1
    return at + 1


class Spoiler(Loop):
    """Passes questions by UDP on to a signing server, and breaks the signatures of CNAMEs and denials on the way back."""

    def __init__(self, address, port, to):
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind((address, port))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect((to, port))
        self.asked = {}
        super().__init__([self.front, self.back])

    def take(self, s):
        packet, sender = s.recvfrom(65535)
        if s is self.front:
            self.asked[packet[:2]] = sender
            self.back.send(packet)
        elif packet[:2] in self.asked:
            self.front.sendto(self.spoil(bytearray(packet)), self.asked.pop(packet[:2]))

    @staticmethod
    def spoil(message):
        counts = struct.unpack(">HHHH", message[4:12])
        at = skip_name(message, 12) + 4
        for _ in range(sum(counts[1:])):
            at = skip_name(message, at)
            kind, _, _, size = struct.unpack(">HHIH", message[at:at + 10])
            covered = struct.unpack(">H", message[at + 10:at + 12])[0] if kind == 46 else 0
            if covered in (TYPES["CNAME"], 47):
                message[at + 10 + size - 1] ^= 1
            at += 10 + size
        return bytes(message)
