"""A whole certfleet beside the real servers it works with, in a private folder on free loopback ports.

    with Stack() as stack:
        stack.cli("endpoint", "add", "shop.example.test", "--type", "external")

The picture, all on 127.0.0.1:

    Pebble (the authority) ──asks──► Unbound ──stub──► Knot: the customers' zones and the platform's
       │                                     └──stub──► certfleet-worker's DNS: the challenge zone
       └──http-01──► HAProxy :http ──► certfleet-worker's http-01 responders
    a browser ─────► HAProxy :https ◄── PEM files ◄── certfleet sync ◄── Redis ◄── workers, schedulers

The demo and the end-to-end tests both stand on this. Standard library only.
"""
import atexit
import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from proxy import Proxy
from redises import KINDS
from servers import (LOOPBACK, HAProxy, Knot, Pebble, Server, ServerError, Unbound, accepts, dns_answers,
                     free_port, wait_until)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHALLENGE_ZONE = "acme.platform.test"
TARGET = "ingress.platform.test"
ZONES = ("platform.test", "example.test", "example-customer.test", "internal.test")


def build_dir():
    return os.path.join(TOP, os.environ.get("CERTFLEET_BUILD", "build/release"))


def pebble_program():
    unpacked = os.path.join(TOP, "build/deps/bin/pebble")
    return unpacked if os.path.exists(unpacked) else "pebble"


def to_yaml(value, indent=0):
    """Enough YAML for a configuration: mappings, lists, scalars."""
    pad = "  " * indent
    if isinstance(value, dict):
        out = ""
        for key, v in value.items():
            nested = v and (isinstance(v, dict) or isinstance(v, list) and isinstance(v[0], dict))
            out += f"{pad}{key}:" + (f"\n{to_yaml(v, indent + 1)}" if nested else f" {to_yaml(v)}\n")
        return out
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "".join(f"{pad}- " + to_yaml(v, indent + 1).lstrip() for v in value)
    if isinstance(value, list):
        return "[" + ", ".join(to_yaml(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(str(value))


class Daemon(Server):
    """One of ours: ready when its /readyz says so."""

    def __init__(self, folder, name, program, config, port):
        self.name = name
        super().__init__(folder)
        self.port = port
        self.argv = [program, "-c", config]

    def ready(self):
        return self.get("/readyz")[0] == 200

    def get(self, path):
        """Status and body of a plain HTTP GET; (0, "") when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")
        except OSError:
            return 0, ""


class Scheduler(Daemon):
    pass


class Worker(Daemon):
    stop_seconds = 40

    def __init__(self, folder, name, program, config, port, http_port, dns_port, dns_host=LOOPBACK):
        super().__init__(folder, name, program, config, port)
        self.http_port, self.dns_port, self.dns_host = http_port, dns_port, dns_host

    def ready(self):
        return super().ready() and accepts(self.http_port) and dns_answers(self.dns_port, CHALLENGE_ZONE, self.dns_host) == 0


class Sync(Server):
    """`certfleet sync`: the edge agent."""
    name = "sync"

    def __init__(self, folder, program, config, certs, reload_command):
        super().__init__(folder)
        self.argv = [program, "-c", config, "sync", "--dir", certs, "--reload", reload_command]

    def ready(self):
        return True


class Stack:
    """Everything, made and started in order, stopped in reverse order.

    pebble: arguments of servers.Pebble (nonce_reject, authz_reuse, validity, ...)
    config: merged over the certfleet configuration, one level deep
    zoo: makes, of a folder, what stands in for Knot and Unbound (tests/e2e/zoo.py): a root and all below it
    redis: "standalone", "sentinel" (a primary, a replica, three Sentinels) or "cluster" (three nodes); see redises.py
    redis_options: arguments of that class (replicas, secure, ...)
    proxied: each worker and scheduler reaches Redis through a proxy of its own: proxies["worker1"], ["scheduler2"]
    """

    def __init__(self, workers=2, schedulers=2, zones=ZONES, sync=True, pebble=None, config=None, folder=None,
                 keep=False, redis="standalone", redis_options=None, proxied=False, say=lambda text: None, zoo=None):
        self.folder = folder or tempfile.mkdtemp(prefix="certfleet-")
        self.keep = keep or bool(os.environ.get("CERTFLEET_KEEP"))
        self.say = say
        self._started = []
        self._stopped = False
        self._pid = os.getpid()
        atexit.register(self.stop)
        self._with_sync = sync
        self._extra = config or {}
        self._proxied = proxied
        self._zones = zones
        self.redis = KINDS[redis](self.path("redis"), fleet="demo", **(redis_options or {}))
        self.zoo = zoo(self.path("zoo")) if zoo else None
        self._make(workers, schedulers, pebble or {})

    # --- what there is

    def _make(self, workers, schedulers, pebble):
        self.dns_hosts = list(self.zoo.workers[:workers]) if self.zoo else [LOOPBACK] * workers
        self.worker_ports = [(free_port(), self.zoo.port if self.zoo else free_port()) for _ in range(workers)]
        self.worker_health_ports = [free_port() for _ in range(workers)]
        self.scheduler_ports = [free_port() for _ in range(schedulers)]
        if self.zoo:
            self.knot, self.unbound = self.zoo, self.zoo.resolver
        else:
            self._make_dns()
        self.haproxy = HAProxy(self.path("haproxy"), [(LOOPBACK, http) for http, _ in self.worker_ports])
        self.pebble = Pebble(self.path("pebble"), pebble_program(), self.unbound.port, self.haproxy.http_port,
                             self.haproxy.https_port, **pebble)
        self.schedulers, self.workers, self.sync = [], [], None
        names = [f"worker{i + 1}" for i in range(workers)] + [f"scheduler{i + 1}" for i in range(schedulers)]
        self.proxies = {name: Proxy(lambda: (LOOPBACK, self.redis.port)) for name in names if self._proxied}
        self._write_config()

    def _make_dns(self):
        self.knot = Knot(self.path("knot"), self._zones, {CHALLENGE_ZONE: [ns for ns, *_ in self.nameservers()]})
        stubs = {zone: [(LOOPBACK, self.knot.port)] for zone in self._zones}
        if self.worker_ports:
            stubs[CHALLENGE_ZONE] = [(LOOPBACK, dns) for _, dns in self.worker_ports]
        # The top-level domain is asked for CAA, and has none.
        self.unbound = Unbound(self.path("unbound"), stubs,
                               'server:\n  local-data: "test. 1 IN SOA localhost. root.localhost. 1 1 1 1 1"\n')

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def _write_config(self):
        for key in ("accounts", "certificates", "label"):
            with open(os.open(self.path(f"{key}.key"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(secrets.token_bytes(32))
        self.config = self.path("certfleet.yaml")
        self._write_own_config("certfleet", "operator", {})
        self.sync_config = self._write_own_config("sync", "sync", {"vault": {"accounts_key_file": None}})
        self.worker_configs = []
        roles = merge(self.base_config(), self._extra)["worker"]["roles"]
        for i, (http, dns) in enumerate(self.worker_ports, 1):
            user = "worker" if "jobs" in roles else "responder"
            self.worker_configs.append(self._write_own_config(f"worker{i}", user, {"worker": {
                "name": f"worker{i}", "listen": f"{LOOPBACK}:{self.worker_health_ports[i - 1]}",
                "http_01": {"listen": [f"{LOOPBACK}:{http}"]}, "dns_01": {"listen": [f"{self.dns_hosts[i - 1]}:{dns}"]}}}))
        self.scheduler_configs = [
            self._write_own_config(f"scheduler{i}", "scheduler", {"scheduler": {"listen": f"{LOOPBACK}:{port}"}})
            for i, port in enumerate(self.scheduler_ports, 1)]

    def _write_own_config(self, name, role, changes):
        """Of one process, which is its role's user in Redis."""
        proxied = {"url": self.proxies[name].url} if name in self.proxies else {}
        changes = {**changes, "redis": {**self.redis.user(role), **proxied}}
        return self.write_config(self.path(f"{name}.yaml"), changes)

    def base_config(self):
        return {
            "fleet": "demo",
            "redis": self.redis.config,
            "vault": {"accounts_key_file": self.path("accounts.key"),
                      "certificates_key_file": self.path("certificates.key")},
            "authorities": [{
                "name": "pebble", "directory": self.pebble.directory, "contact": ["mailto:ops@platform.test"],
                "terms_of_service_agreed": True, "profile": "default", "ca_file": self.pebble.ca_file,
                "caa_identities": ["pebble.test"]}],
            "challenges": {
                "zones": [CHALLENGE_ZONE], "label_key_file": self.path("label.key"),
                "nameservers": [{"name": ns, "addresses": [f"{host}:{port}"]} for ns, host, port in self.nameservers()],
                "dns_provider": "builtin"},
            "resolver": {"servers": [f"{LOOPBACK}:{self.unbound.port}"], "timeout": "3s",
                         **({} if self.zoo else {"roots": [f"{LOOPBACK}:{self.knot.port}"],
                                                 "authoritative_port": self.knot.port, "per_server": 10000})},
            # Everything here is on loopback, where a worker would otherwise refuse to be sent.
            "network": {"allow": ["127.0.0.0/8"]},
            "edge": {"addresses": [f"{LOOPBACK}:{self.haproxy.https_port}"], "port": self.haproxy.https_port,
                     "http_port": self.haproxy.http_port},
            **(self.zoo.config() if self.zoo else {}),
            "scheduler": {"verify_every": "1h", "verify_fast": "1s", "proof_every": "0s", "probe_every": "0s"},
            "worker": {"roles": ["jobs", "http-01", "dns-01"], "slots": {"verify": 200, "issue": 200},
                       "lease": "10s"},
        }

    def nameservers(self):
        """(name, host, port) of at least two, as a zone must have: a worker that is alone is both."""
        ours = [(host, dns) for host, (_, dns) in zip(self.dns_hosts, self.worker_ports)]
        ours = ours * 2 if len(ours) == 1 else ours
        return [(f"ns{i}.{CHALLENGE_ZONE}", host, port) for i, (host, port) in enumerate(ours, 1)]

    def write_config(self, path, changes=None):
        """The common configuration with `changes` merged in, written to path."""
        config = merge(merge(self.base_config(), self._extra), changes or {})
        with open(path, "w", encoding="utf-8") as f:
            f.write(to_yaml(config))
        return path

    # --- life

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        self.say("Redis, Knot (the customers' DNS), Unbound (the resolver)")
        for server in (self.redis, self.knot) + (() if self.zoo else (self.unbound,)):
            self._start(server)
        if self.zoo:
            self._make_zones()
        for proxy in self.proxies.values():
            proxy.start()
        self.knot.add((TARGET, "A", LOOPBACK))
        self.say("HAProxy (the edge), Pebble (the ACME authority)")
        self._start(self.haproxy)
        self._start(self.pebble)
        self.say(f"{len(self.scheduler_ports)} schedulers, {len(self.worker_ports)} workers"
                 + (", certfleet sync" if self._with_sync else ""))
        for i in range(len(self.scheduler_ports)):
            self.schedulers.append(self._start(self.new_scheduler(i), wait=False))
        for i in range(len(self.worker_ports)):
            self.workers.append(self._start(self.new_worker(i), wait=False))
        for server in self.schedulers + self.workers:
            server.wait_ready()
        if self._with_sync:
            self.sync = self._start(self.new_sync())
        return self

    def _make_zones(self):
        with self.zoo.batch():
            for zone in self._zones:
                self.zoo.zone(zone)
        if self.worker_ports:
            self.zoo.delegate(CHALLENGE_ZONE, {ns: [host] for ns, host, _ in self.nameservers()})

    def _start(self, server, wait=True):
        self._started.append(server)
        return server.start(wait)

    def program(self, name):
        return os.path.join(build_dir(), name)

    def new_scheduler(self, i):
        return Scheduler(self.path(f"scheduler{i + 1}"), f"scheduler{i + 1}", self.program("certfleet-scheduler"),
                         self.scheduler_configs[i], self.scheduler_ports[i])

    def new_worker(self, i):
        return Worker(self.path(f"worker{i + 1}"), f"worker{i + 1}", self.program("certfleet-worker"),
                      self.worker_configs[i], self.worker_health_ports[i], *self.worker_ports[i], self.dns_hosts[i])

    def new_sync(self):
        return Sync(self.path("sync"), self.program("certfleet"), self.sync_config, self.haproxy.certs,
                    self.haproxy.reload_command)

    def stop(self):
        """Ends everything, at most once, and only in the process that made it."""
        if self._stopped or os.getpid() != self._pid:
            return
        self._stopped = True
        for server in reversed(self._started):
            server.kill() if server in (self.pebble, self.unbound, self.knot) else server.stop()
        for proxy in self.proxies.values():
            proxy.stop()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- use

    def primary(self):
        """The Redis that is written to now."""
        return self.redis.primary()

    def failover(self, **kwargs):
        """Kills it, and waits until another has taken over (sentinel, cluster). Gives old, new, and when."""
        return self.redis.failover(**kwargs)

    def cli(self, *args, check=True, timeout=60, config=None, stdin=None):
        """Runs certfleet with args; gives what it printed, its status and its errors."""
        done = subprocess.run([self.program("certfleet"), "-c", config or self.config, *map(str, args)],
                              capture_output=True, text=True, timeout=timeout, check=False, input=stdin)
        if check and done.returncode:
            raise ServerError(f"certfleet {' '.join(map(str, args))}: status {done.returncode}\n"
                              f"{done.stdout}{done.stderr}")
        return done

    def cli_json(self, *args, **kwargs):
        return json.loads(self.cli("--json", *args, **kwargs).stdout)

    def curl(self, name, *args, root=None, check=True):
        """GET https://name/ at the edge, trusting only the authority's root."""
        done = subprocess.run(
            ["curl", "-sS", "-m", "10", "--cacert", root or self.pebble.root_file, "--resolve",
             f"{name}:{self.haproxy.https_port}:{LOOPBACK}", *args, f"https://{name}:{self.haproxy.https_port}/"],
            capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise ServerError(f"https://{name}/ at the edge: {done.stderr.strip()}")
        return done

    def served(self, name):
        """What the edge serves for a name: {serial, subject, issuer, ...} by openssl, or None."""
        pem = subprocess.run(
            ["openssl", "s_client", "-connect", f"{LOOPBACK}:{self.haproxy.https_port}", "-servername", name],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=10).stdout
        done = subprocess.run(["openssl", "x509", "-noout", "-serial", "-issuer", "-enddate", "-ext", "subjectAltName"],
                              input=pem, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        lines = done.stdout.splitlines()
        facts = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith(" "))
        facts["names"] = sorted(x.strip()[4:] for x in lines[-1].split(",")) if "DNS:" in lines[-1] else []
        return facts

    def label(self, name, tenant="default"):
        with open(self.path("label.key"), "rb") as f:
            return label(f.read(), tenant, name)

    def challenge_cname(self, name, tenant="default"):
        """The _acme-challenge record, as Knot.add() takes it."""
        bare = name.removeprefix("*.")
        return f"_acme-challenge.{bare}", "CNAME", f"{self.label(name, tenant)}.{CHALLENGE_ZONE}."

    def certificates(self):
        """Serials that the authority issued, by the tuple of names that they are for."""
        out = {}
        for serial in self.pebble.serials():
            out.setdefault(names_of(self.pebble.certificate(serial)[1]), []).append(serial)
        return out

    def states(self):
        """State by endpoint id."""
        answer = self.cli_json("endpoint", "list")
        return {e["id"]: e["state"] for e in (answer["endpoints"] if isinstance(answer, dict) else answer)}

    def wait_states(self, want, ids, seconds):
        """Until each of ids is in the state; says what is missing if not."""
        seen = {}

        def there():
            if self.pebble.hung:
                raise ServerError("Pebble hangs")
            seen.update(self.states())
            return all(seen.get(i) == want for i in ids)
        try:
            wait_until(f"{len(ids)} endpoints to be {want}", there, seconds, every=0.5)
        except ServerError as e:
            count = {}
            for i in ids:
                count[seen.get(i)] = count.get(seen.get(i), 0) + 1
            late = [i for i in ids if seen.get(i) != want][:3]
            raise ServerError(f"{e}: {count}, such as {late}") from None

    def serial_served(self, name):
        facts = self.served(name)
        return facts["serial"] if facts else None


def names_of(pem):
    """A certificate's DNS names, sorted."""
    text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pem, check=True,
                          capture_output=True, text=True).stdout
    return tuple(sorted(word.strip(", ")[4:] for word in text.split() if word.startswith("DNS:")))


def label(key, tenant, name):
    """A name's label in the challenge zone, by the design's formula."""
    name = name.removeprefix("*.")
    digest = hmac.new(key, tenant.encode() + b"\0" + name.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().lower()[:26]


def merge(base, over):
    """over's values win; mappings are merged, lists and scalars replaced; None takes a key away."""
    out = dict(base)
    for key, value in over.items():
        out[key] = merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return {key: value for key, value in out.items() if value is not None}


def die_with_signals():
    """SIGTERM and SIGHUP end a program as Ctrl-C does, so that `finally` and `with` clean up."""
    def leave(number, frame):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


if __name__ == "__main__":
    sys.exit("this is a module: see demo.py")
