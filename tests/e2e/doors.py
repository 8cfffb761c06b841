"""Front doors of customers, on addresses of their own and one port: right, wrong and hostile.

Edge: a real HAProxy with a frontend for each set-up that people really make. Door: what no web server does: it counts
its connections and the bytes that it could send, and does what `behave(connection, door)` says.
"""
import contextlib
import socket
import threading

from servers import Server, accepts

EDGE, CDN, KEPT, LOST, SLASHLESS, FOREIGN, OURS = (f"127.0.2.{n}" for n in (2, 10, 11, 12, 13, 14, 15))
NOBODY, SILENT, SWITCH = "127.0.2.20", "127.0.2.21", "127.0.2.22"
PATH = "/.well-known/acme-challenge/"


class Edge(Server):
    """responder: (host, port) of a worker's http-01 responder; pem: a certificate for TLS, of any name."""
    name = "edge"

    def __init__(self, folder, http_port, https_port, responder, pem):
        super().__init__(folder)
        self.http_port = http_port

        def front(name, address, *lines, tls=False):
            bind = f"{address}:{https_port} ssl crt {pem}" if tls else f"{address}:{http_port}"
            return f"frontend {name}\n  bind {bind}\n" + "".join(f"  {line}\n" for line in lines)
        conf = ("defaults\n  mode http\n  timeout connect 2s\n  timeout client 20s\n  timeout server 20s\n"
                + front("edge", EDGE, "default_backend responders")
                + front("cdn", CDN, "default_backend edge")
                + front("kept", KEPT, "http-request redirect scheme https code 301")
                + front("kept-tls", KEPT, "default_backend responders", tls=True)
                + front("lost", LOST, "http-request redirect location https://%[req.hdr(host)]/ code 302")
                + front("lost-tls", LOST, 'http-request return status 200 content-type text/html string "Welcome"', tls=True)
                + front("slashless", SLASHLESS,
                        "http-request redirect location https://%[req.hdr(host)]%[path,regsub(^/,)] code 301")
                + front("foreign", FOREIGN, 'http-request return status 404 content-type text/html string "Parked"')
                + front("ours", OURS, "http-request return status 503")
                + f"backend responders\n  server r {responder[0]}:{responder[1]}\n"
                + f"backend edge\n  server e {EDGE}:{http_port}\n")
        self.argv = ["haproxy", "-f", self.write("haproxy.cfg", conf)]

    def ready(self):
        return accepts(self.http_port, EDGE)


class Door:
    """Listens at once. behave: called with the connection and the door, in a thread of its own."""

    def __init__(self, address, port, behave):
        self.behave, self.connections, self.sent, self.most = behave, 0, 0, 0
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(64)
        self.ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            self.behave(connection, self)

    def send(self, connection, data):
        connection.sendall(data)
        self.sent += len(data)

    def stop(self):
        self.ended.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def read_request(connection):
    """The path that is asked for."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            raise OSError("no request")
        data += more
    return data.split(b" ", 2)[1].decode()


def answer(status, body=b"", headers=""):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n".encode() + body


def redirects(to):
    """to(path) gives the Location."""
    def behave(connection, door):
        door.send(connection, answer(302, headers=f"Location: {to(read_request(connection))}\r\n"))
    return behave


def passes_on(responder):
    """While door.open; else somebody else answers."""
    def behave(connection, door):
        path = read_request(connection)
        if not getattr(door, "open", True):
            door.send(connection, answer(200, b"It works!", "Content-Type: text/html\r\n"))
            return
        with socket.create_connection(responder, timeout=10) as back:
            back.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            while True:
                more = back.recv(65536)
                if not more:
                    return
                door.send(connection, more)
    return behave


def endless(head, block):
    """A gigabyte of blocks after the head, as far as the other takes it; door.most is how far that was."""
    def behave(connection, door):
        read_request(connection)
        connection.sendall(head)
        sent = 0
        try:
            while sent < 1 << 30:
                connection.sendall(block)
                sent += len(block)
        finally:
            door.most = max(door.most, sent)
    return behave


gigabyte = endless(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1073741824\r\n\r\n", b"x" * 65536)
headers_for_ever = endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 1024)


def drips(connection, door):
    read_request(connection)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" * 100:
        connection.sendall(bytes([byte]))
        if door.ended.wait(1):
            return


def says_nothing(connection, door):
    door.ended.wait(30)
