"""Real servers in a private folder on free loopback ports: Redis, Pebble, Knot, Unbound, HAProxy.

Each Server writes its own configuration, has start(), which returns when the server really answers, stop(), kill() and
restart(), and a log file. None of them outlives this program: children get a session of their own (so that Ctrl-C
reaches us first) and die with us by PDEATHSIG, and whoever makes one stops it. Standard library only.
"""
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

LOOPBACK = "127.0.0.1"
REDIS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "redis")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class ServerError(Exception):
    """A server that did not start, answer or stop. The text is for people."""


# --- ports

_ports_given = set()


def free_port(address=LOOPBACK):
    """A port on which neither UDP nor TCP is bound.

    It lies below the range that the kernel takes for outgoing connections: there a port that is free now may be some
    connection's local port when a server that was killed wants it back. Tests that run side by side (pytest-xdist's gw0,
    gw1 …) take every second, third … port, so that none takes what another is about to bind.
    """
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    step = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        ceiling = max(int(f.read().split()[0]), 12000)
    for _ in range(1000):
        port = random.randrange(10000 // step, ceiling // step) * step + mine
        if port not in _ports_given and _is_free(address, port):
            _ports_given.add(port)
            return port
    raise ServerError(f"no free port below {ceiling} on {address}")


def _is_free(address, port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind((address, port))
            except OSError:
                return False
    return True


def wait_until(what, condition, seconds=20, every=0.05):
    """Calls condition until it is true; gives what it returned. Its exceptions pass."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ServerError(f"waited {seconds} s for {what}, in vain")
        time.sleep(every)


def accepts(port, address=LOOPBACK):
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def dns_answers(port, name, address=LOOPBACK, kind=6, seconds=0.5):
    """The rcode of an answer over UDP (kind 6: SOA), or None. Just enough DNS to see that a server is up."""
    question = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"
    packet = struct.pack(">HHHHHH", 0x4346, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        try:
            s.sendto(packet, (address, port))
            answer = s.recv(4096)
        except OSError:
            return None
    return answer[3] & 15 if answer[:2] == b"\x43\x46" else None


# --- a process

def _in_child():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """One process. Subclasses set name, argv and ready(), and write their files in __init__."""

    name = "server"
    argv = ()
    start_seconds = 20
    stop_seconds = 10

    def __init__(self, folder):
        self.folder = folder
        self.env = {}
        self.process = None
        self.log_path = os.path.join(folder, f"{self.name}.log")
        os.makedirs(folder, exist_ok=True)

    def ready(self):
        raise NotImplementedError

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w" if isinstance(text, str) else "wb") as f:
            os.fchmod(f.fileno(), mode)
            f.write(text)
        return path

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log_tail(self, lines=15):
        try:
            with open(self.log_path, errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def start(self, wait=True):
        program = self.argv[0]
        if not shutil.which(program):
            raise ServerError(f"{self.name}: no program {program}: run `make deps` (and `make`)")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={**os.environ, **self.env}, start_new_session=True, preexec_fn=_in_child)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def up():
            if not self.alive():
                raise ServerError(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")
            return self.ready()
        try:
            wait_until(f"{self.name} to answer", up, self.start_seconds)
        except ServerError as e:
            self.kill()
            raise ServerError(f"{e}\n{self.log_tail()}" if "ended" not in str(e) else str(e)) from None

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def _kill_group(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop(self):
        """Asks it to end, and kills what is left of its group. Gives its exit status."""
        if self.process is None:
            return None
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            pass
        return self.kill()

    def kill(self):
        if self.process is None:
            return None
        self._kill_group()
        status = self.process.wait()
        self.process = None
        return status

    def restart(self):
        self.stop()
        return self.start()

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- Redis

class Redis(Server):
    """As deploy/redis/ has it: its configuration, and with a fleet's name its users, whose passwords are in users/."""
    name = "redis"

    def __init__(self, folder, password=None, program="redis-server", fleet=None):
        super().__init__(folder)
        self.port = free_port()
        self.password = password
        self.users = self.make_users(self.folder, fleet) if fleet else None
        self.argv = [program, self.write("redis.conf", "\n".join([*self.lines(), ""]))]

    def lines(self):
        return [f"include {os.path.join(REDIS, 'redis.conf')}", f"bind {LOOPBACK}", f"port {self.port}",
                f"dir {self.folder}", "daemonize no", 'save ""', "dbfilename dump.rdb",
                *([f"requirepass {self.password}"] if self.password else []),
                *([f"aclfile {self.users}/users.acl"] if self.users else [])]

    @staticmethod
    def make_users(folder, fleet, password=None):
        """The shipped users, and `default`, whom the tests themselves are. Gives the folder with their passwords."""
        users = os.path.join(folder, "users")
        os.makedirs(users, exist_ok=True)
        with open(os.path.join(users, "default.acl"), "w", encoding="utf-8") as f:
            f.write(f"user default on {f'>{password}' if password else 'nopass'} ~* &* +@all\n")
        subprocess.run([os.path.join(REDIS, "make_users.sh"), fleet, users], check=True)
        return users

    def user(self, role):
        """What certfleet's configuration says in `redis` to be this role's user."""
        return {"username": f"certfleet-{role}", "password_file": os.path.join(self.users, f"{role}.password")}

    @property
    def url(self):
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def config(self):
        """For the key redis of certfleet's configuration."""
        return {"url": self.url}

    def primary(self):
        return self

    def cli_args(self):
        return ["-p", str(self.port)] + (["-a", self.password, "--no-auth-warning"] if self.password else [])

    def client_args(self):
        """For redis.Redis() of python3-redis."""
        return {"host": LOOPBACK, "port": self.port, "password": self.password}

    def command(self, *args):
        """One command's reply as redis-cli prints it."""
        return subprocess.run(["redis-cli", *self.cli_args(), *map(str, args)], check=True,
                              capture_output=True, timeout=30).stdout.decode(errors="replace").rstrip("\n")

    def ready(self):
        return accepts(self.port) and self.command("ping") == "PONG"


# --- Pebble, the ACME authority

class Pebble(Server):
    """https://127.0.0.1:PORT/dir. `hung` is set, and its stacks are in the log, when it stopped answering."""
    name = "pebble"

    def __init__(self, folder, program, dns_port, http_port, tls_port, nonce_reject=5, authz_reuse=50,
                 sleep=False, retry_after=1, validity=7776000, env=None):
        super().__init__(folder)
        self.port, self.management_port = free_port(), free_port()
        self.hung = False
        self._watch_stop = threading.Event()
        self.ca_file = self.path("pebble-https.pem")
        self._make_certificate()
        config = {"pebble": {
            "listenAddress": f"{LOOPBACK}:{self.port}",
            "managementListenAddress": f"{LOOPBACK}:{self.management_port}",
            "certificate": self.ca_file, "privateKey": self.path("pebble-https.key"),
            "httpPort": http_port, "tlsPort": tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "retryAfter": {"authz": retry_after, "order": retry_after}, "keyAlgorithm": "ecdsa",
            "profiles": {
                "default": {"description": "90 days", "validityPeriod": validity},
                "shortlived": {"description": "6 days", "validityPeriod": 518400}}}}
        self.argv = [program, "-config", self.write("pebble.json", json.dumps(config, indent=2)),
                     "-dnsserver", f"{LOOPBACK}:{dns_port}"]
        # One thread: with more it takes two locks in opposite orders and comes to a stand.
        self.env = {"GOMAXPROCS": "1", "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
                    "PEBBLE_AUTHZREUSE": str(authz_reuse), **({} if sleep else {"PEBBLE_VA_NOSLEEP": "1"}),
                    **(env or {})}

    def _make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=Pebble's own HTTPS", "-addext", f"subjectAltName=IP:{LOOPBACK},DNS:localhost",
             "-keyout", self.path("pebble-https.key"), "-out", self.ca_file],
            check=True, capture_output=True, timeout=30)

    @property
    def directory(self):
        return f"https://{LOOPBACK}:{self.port}/dir"

    def management(self, path, body=None, seconds=10):
        """Status and text of a request to the management interface."""
        context = ssl.create_default_context(cafile=self.ca_file)
        request = urllib.request.Request(f"https://{LOOPBACK}:{self.management_port}{path}",
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"User-Agent": "certfleet-stack"})
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")

    def ready(self):
        if not (accepts(self.port) and accepts(self.management_port)):
            return False
        self.root_file = self.write("root.pem", self.management("/roots/0")[1])
        return True

    def start(self, wait=True):
        super().start(wait)
        self._watch_stop = threading.Event()
        threading.Thread(target=self._watch, args=(self._watch_stop,), daemon=True).start()
        return self

    def kill(self):
        self._watch_stop.set()
        return super().kill()

    def _watch(self, stop):
        """A question that needs the lock it hangs on, every 2 s; 20 s without an answer: it hangs."""
        last = time.monotonic()
        while not stop.wait(2):
            try:
                self.management("/cert-status-by-serial/00", seconds=5)
                last = time.monotonic()
            except OSError:
                if time.monotonic() - last > 20 and self.alive() and not stop.is_set():
                    self.hung = True
                    print(f"\nPebble hangs (its own fault); its stacks are in {self.log_path}", flush=True)
                    self.signal(signal.SIGQUIT)
                    return

    # What the log says of each order; the management interface knows the certificates.

    def orders_added(self):
        return self.log().count("Added order ")

    def serials(self):
        """Serials of all certificates issued to orders, in order of issue."""
        return [line.split("Issued certificate serial ")[1].split()[0] for line in self.log().splitlines()
                if "Issued certificate serial " in line]

    def certificate(self, serial):
        """(status, PEM) by serial."""
        status, text = self.management(f"/cert-status-by-serial/{serial}")
        if status != 200:
            raise ServerError(f"pebble knows no certificate {serial}: {text}")
        answer = json.loads(text)
        return answer["Status"], answer["Certificate"]

    def set_renewal_window(self, pem, start, end):
        """Times as seconds since 1970."""
        stamp = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (start, end)]
        status, text = self.management("/set-renewal-info/", {
            "Certificate": pem,
            "ARIResponse": json.dumps({"suggestedWindow": {"start": stamp[0], "end": stamp[1]}})})
        if status != 200:
            raise ServerError(f"/set-renewal-info/: {status} {text}")


# --- Knot, the customers' DNS

class Knot(Server):
    """Authoritative for `zones`; records are put and taken away at once, as at a DNS provider.

    It is the root too, and delegates the zones, and what else `delegate` names (zone -> its name servers), to itself.
    """
    name = "knot"

    def __init__(self, folder, zones, delegate=None):
        super().__init__(folder)
        self.port = free_port()
        self.zones = [z.rstrip(".") for z in zones]
        self.socket = self.path("knot.sock")
        for zone in self.zones:
            self.write(f"{zone}.zone", f"$ORIGIN {zone}.\n$TTL 1\n"
                       f"@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A {LOOPBACK}\n")
        cuts = {**{zone: [f"ns.{zone}"] for zone in self.zones}, **(delegate or {})}
        self.write("root.zone", f"$ORIGIN .\n$TTL 1\n@ SOA ns-of-root. hostmaster. 1 3600 600 86400 1\n@ NS ns-of-root.\n"
                   f"ns-of-root. A {LOOPBACK}\n" + "".join(
                       f"{zone}. NS {ns}.\n{ns}. A {LOOPBACK}\n" for zone, servers in cuts.items() for ns in servers
                       if not any(zone.endswith("." + above) for above in self.zones)))
        for zone, servers in (delegate or {}).items():
            above = [z for z in self.zones if zone.endswith("." + z)]
            if above:
                with open(self.path(f"{above[0]}.zone"), "a", encoding="ascii") as f:
                    f.writelines(f"{zone}. NS {ns}.\n{ns}. A {LOOPBACK}\n" for ns in servers)
        os.makedirs(self.path("db"), exist_ok=True)
        conf = (f'server:\n  rundir: "{folder}"\n  listen: {LOOPBACK}@{self.port}\n'
                f"  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
                f'control:\n  listen: "{self.socket}"\ndatabase:\n  storage: "{self.path("db")}"\n'
                "log:\n  - target: stderr\n    any: notice\n"
                f'template:\n  - id: default\n    storage: "{folder}"\n    file: "%s.zone"\n'
                "    zonefile-sync: -1\n    journal-content: none\n    zonefile-load: whole\n"
                'zone:\n  - domain: .\n    file: "root.zone"\n' + "".join(f"  - domain: {z}\n" for z in self.zones))
        self.argv = ["knotd", "-c", self.write("knot.conf", conf)]

    def ready(self):
        return all(dns_answers(self.port, z) == 0 for z in self.zones)

    def zone_of(self, name):
        name = name.rstrip(".").lower()
        for zone in sorted(self.zones, key=len, reverse=True):
            if name == zone or name.endswith("." + zone):
                return zone
        raise ServerError(f"no zone here holds {name}")

    def _edit(self, verb, records, zone=None):
        """records: (name, type, data) each; one transaction a zone. zone: not the deepest that is here, but this."""
        edits = {}
        for name, *rest in records:
            name = name.rstrip(".") + "."
            edits.setdefault(self.zone_of(name) if zone is None else zone, []).append((name, rest))
        for where, entries in edits.items():
            lines = [f"zone-begin {where}."]
            for name, (kind, *data) in entries:
                ttl = "1 " if verb == "set" else ""
                lines.append(f"zone-{verb} {where}. {name} {ttl}{kind} {' '.join(data)}".rstrip())
            out = ""
            for batch in [lines[i:i + 200] for i in range(0, len(lines), 200)]:
                out += self._control(batch)
            out += self._control([f"zone-commit {where}."])
            if "error" in out:
                self._control([f"zone-abort {where}."])
                raise ServerError(f"knot refused an edit of {where}: {out}")

    def _control(self, lines):
        done = subprocess.run(["knotc", "-s", self.socket], input="\n".join(lines) + "\n", text=True,
                              capture_output=True, timeout=30, check=False)
        return done.stdout + done.stderr

    def add(self, *records, zone=None):
        self._edit("set", records, zone)

    def remove(self, *records, zone=None):
        """(name, type) takes away all of the type, (name, type, data) one value."""
        self._edit("unset", records, zone)


# --- Unbound, the resolver that everybody asks

class Unbound(Server):
    """stubs: zone -> [(address, port)]. Nothing is asked outside them.

    It keeps no record, as an authority's resolver should, and turns at once from a server that is gone to the zone's
    other ones. `extra` is more configuration: what stands in it goes before what stands here.
    """
    name = "unbound"

    def __init__(self, folder, stubs, extra=""):
        super().__init__(folder)
        self.port = free_port()
        self.zone = next(iter(stubs))
        conf = f"""server:
  interface: {LOOPBACK}
  port: {self.port}
  access-control: 127.0.0.0/8 allow
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  logfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  verbosity: 1
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "test." nodefault
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  infra-host-ttl: 60
  infra-cache-max-rtt: 2000
  infra-keep-probing: yes
  unknown-server-time-limit: 60
  incoming-num-tcp: 6000
  tcp-idle-timeout: 60000
  num-queries-per-thread: 4096
  outgoing-range: 4096
  outgoing-port-avoid: 0-32767
  so-reuseport: no
remote-control:
  control-enable: no
""" + extra
        for zone, servers in stubs.items():
            conf += f'stub-zone:\n  name: "{zone}."\n'
            conf += "".join(f"  stub-addr: {address}@{port}\n" for address, port in servers)
        self.argv = ["unbound", "-d", "-c", self.write("unbound.conf", conf)]

    def ready(self):
        return dns_answers(self.port, self.zone) is not None


# --- HAProxy, the edge

class HAProxy(Server):
    """http: challenges go to the responders, the rest is redirected; https: certificates from `certs`."""
    name = "haproxy"

    def __init__(self, folder, responders, http_port=None, https_port=None):
        super().__init__(folder)
        self.http_port, self.https_port = http_port or free_port(), https_port or free_port()
        self.certs = self.path("certs")
        os.makedirs(self.certs, exist_ok=True)
        self.pid_file = self.path("haproxy.pid")
        conf = f"""global
  stats socket {self.path("haproxy.sock")} mode 600 level admin expose-fd listeners
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  retries 3
  option redispatch 1
frontend http
  bind {LOOPBACK}:{self.http_port}
  # An authority asks for challenges in plain HTTP: they go to the responders, all else to https.
  acl challenge path_beg /.well-known/acme-challenge/
  http-request redirect scheme https code 308 unless challenge
  use_backend certfleet if challenge
frontend https
  bind {LOOPBACK}:{self.https_port} ssl crt {self._default_certificate()} crt {self.certs} alpn h2,http/1.1
  http-request return status 200 content-type text/plain lf-string "Hello from %[req.hdr(host)]\\n"
backend certfleet
""" + "".join(f"  server responder{i} {address}:{port}\n"
              for i, (address, port) in enumerate(responders, 1))
        self.argv = ["haproxy", "-W", "-f", self.write("haproxy.cfg", conf), "-p", self.pid_file]

    def _default_certificate(self):
        """What is served to who asks for a name that has no certificate yet."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=nothing is here yet", "-keyout", self.path("default.key"),
             "-out", self.path("default.crt")], check=True, capture_output=True, timeout=30)
        with open(self.path("default.crt")) as crt, open(self.path("default.key")) as key:
            return self.write("default.pem", crt.read() + key.read(), 0o600)

    @property
    def reload_command(self):
        """For `certfleet sync --reload`: the master starts a new worker and the old one finishes what it has."""
        return f"kill -USR2 {self.pid}"

    def ready(self):
        return accepts(self.http_port) and accepts(self.https_port)
