"""Edges that present what they are told to, each at an address of its own, and a stranger's certificates to present."""
import os
import socket
import subprocess

from servers import Server, accepts

CA_CONF = """[ca]
default_ca = all
[all]
dir = {folder}
database = $dir/index.txt
new_certs_dir = $dir
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


class Stranger:
    """A CA that nobody asked: makes PEM files (key, certificate) for any name and time."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.path("index.txt", "")
        self.path("index.txt.attr", "")
        self.path("ca.conf", CA_CONF.format(folder=folder))
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", "/CN=A stranger", "-keyout", "ca.key", "-out", "ca.crt")

    def path(self, name, text=None):
        path = os.path.join(self.folder, name)
        if text is not None:
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
        return path

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=30, cwd=self.folder)

    def _key_and_request(self, name):
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                     "-addext", f"subjectAltName=DNS:{name}", "-keyout", "x.key", "-out", "x.csr")

    def _pem(self, name):
        with open(self.path("x.key"), encoding="ascii") as key, open(self.path("x.crt"), encoding="ascii") as crt:
            return self.path(f"{name}.pem", crt.read() + key.read())

    def certificate(self, name, start="20260101000000Z", end="20991231235959Z"):
        self._key_and_request(name)
        self.openssl("ca", "-batch", "-notext", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.crt", "-in", "x.csr",
                     "-out", "x.crt", "-startdate", start, "-enddate", end)
        return self._pem(name)

    def self_signed(self, name):
        self._key_and_request(name)
        self.openssl("req", "-x509", "-key", "x.key", "-days", "30", "-subj", f"/CN={name}", "-addext",
                     f"subjectAltName=DNS:{name}", "-out", "x.crt")
        return self._pem(name)


class Edge(Server):
    """HAProxy at one address. present() is what it does from then on."""

    def __init__(self, folder, address, port):
        self.name = f"edge-{address}"
        self.address, self.port = address, port
        self.dumb = None
        super().__init__(folder)

    def present(self, pem=None, strict=False):
        """A PEM file's certificate; strict: only to who names it; None: no TLS at all."""
        self.absent()
        tls = f"ssl crt {pem} alpn h2,http/1.1{' strict-sni' if strict else ''}" if pem else ""
        conf = (f"global\n  maxconn 100\ndefaults\n  mode http\n  timeout client 30s\n  timeout connect 2s\n  timeout server 30s\n"
                f"frontend edge\n  bind {self.address}:{self.port} {tls}\n  http-request return status 200\n")
        self.argv = ["haproxy", "-W", "-f", self.write("haproxy.cfg", conf)]
        self.start()

    def silent(self):
        """Takes connections and says nothing."""
        self.absent()
        self.dumb = socket.create_server((self.address, self.port), backlog=64)

    def absent(self):
        if self.dumb:
            self.dumb.close()
        self.dumb = None
        if self.process:
            self.stop()

    def ready(self):
        return accepts(self.port, self.address)


class SServer(Edge):
    """The same by `openssl s_server`."""

    def present(self, pem=None, chain=None):
        self.absent()
        self.argv = ["openssl", "s_server", "-accept", f"{self.address}:{self.port}", "-cert", pem, "-key", pem, "-www", "-quiet",
                     *(["-cert_chain", chain] if chain else [])]
        self.start()
