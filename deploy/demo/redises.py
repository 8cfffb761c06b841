"""More than one Redis: a primary with replicas under Sentinels, and a cluster. Each is used like one servers.Redis.

    with Stack(redis="sentinel") as stack:      # or "cluster", or "standalone"
        switch = stack.failover()               # the primary is killed; who follows, and when it was decided
        stack.primary().command("ping")
        stack.redis.rejoin(switch.old)          # as a replica

The users are the shipped ones. With secure=True everything speaks TLS, and the tests' own user has a password too.
"""
import os
import re
import signal
import subprocess
import time
from collections import namedtuple

from servers import LOOPBACK, Redis, Server, ServerError, accepts, free_port, wait_until

MASTER = "certfleet"  # the name under which the Sentinels watch the primary
PASSWORD, SENTINEL_PASSWORD = "open-sesame", "close-sesame"  # of the user `default`

Switch = namedtuple("Switch", "old new at")  # at: seconds since 1970, by the log of who decided


def log_time(line):
    """Of a line of Redis' log: seconds since 1970."""
    stamp = re.search(r"(\d+ \w{3} \d{4} \d\d:\d\d:\d\d)\.(\d{3})", line)
    return time.mktime(time.strptime(stamp[1], "%d %b %Y %H:%M:%S")) + int(stamp[2]) / 1000


class Certificates:
    """A CA, and a certificate of it for 127.0.0.1 and localhost that all servers share."""

    def __init__(self, folder):
        self.ca, self.cert, self.key = (os.path.join(folder, name) for name in ("ca.pem", "redis.pem", "redis.key"))
        os.makedirs(folder, exist_ok=True)
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl(folder, "req", "-x509", *new, "-days", "30", "-subj", "/CN=Redis' CA", "-keyout", "ca.key",
                      "-out", self.ca)
        self._openssl(folder, "req", *new, "-subj", "/CN=redis", "-keyout", self.key, "-out", "redis.csr")
        with open(os.path.join(folder, "ext"), "w", encoding="utf-8") as f:
            f.write(f"subjectAltName=IP:{LOOPBACK},DNS:localhost\n")
        self._openssl(folder, "x509", "-req", "-in", "redis.csr", "-CA", self.ca, "-CAkey", "ca.key",
                      "-CAcreateserial", "-days", "30", "-extfile", "ext", "-out", self.cert)

    @staticmethod
    def _openssl(folder, *args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=30)

    def lines(self, port):
        return ["port 0", f"tls-port {port}", f"tls-cert-file {self.cert}", f"tls-key-file {self.key}",
                f"tls-ca-cert-file {self.ca}", "tls-auth-clients no", "tls-replication yes", "tls-cluster yes"]

    def config(self):
        return {"enabled": True, "ca_file": self.ca}


class Member(Redis):
    """One of a group."""

    def __init__(self, group, name, more=()):
        self.name, self.group, self.certificates, self.more = name, group, group.certificates, list(more)
        super().__init__(group.path(name))

    def lines(self):
        secure = [] if not self.certificates else [*self.certificates.lines(self.port), f"masterauth {PASSWORD}"]
        return [*super().lines(), f"aclfile {self.group.users}/users.acl", "repl-diskless-sync-delay 0", *secure,
                *self.more]

    def cli_args(self):
        return ["-p", str(self.port)] + ([] if not self.certificates else [
            "--tls", "--cacert", self.certificates.ca, "-a", PASSWORD, "--no-auth-warning"])

    def client_args(self):
        return {"host": LOOPBACK, "port": self.port} if not self.certificates else {
            "host": LOOPBACK, "port": self.port, "password": PASSWORD, "ssl": True,
            "ssl_ca_certs": self.certificates.ca}


class Sentinel(Server):
    def __init__(self, folder, name, primary, quorum, down_after_ms, certificates=None):
        self.name, self.certificates = name, certificates
        super().__init__(folder)
        self.port = free_port()
        secure = [] if not certificates else [
            *certificates.lines(self.port), f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}", f"sentinel auth-pass {MASTER} {PASSWORD}"]
        self.argv = ["redis-server", self.write("sentinel.conf", "\n".join([
            f"bind {LOOPBACK}", f"port {self.port}", f"dir {folder}",
            f"sentinel monitor {MASTER} {LOOPBACK} {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {MASTER} {down_after_ms}",
            f"sentinel failover-timeout {MASTER} 5000", *secure, ""])), "--sentinel"]

    def command(self, *args):
        secure = [] if not self.certificates else ["--tls", "--cacert", self.certificates.ca, "-a", SENTINEL_PASSWORD,
                                                   "--no-auth-warning"]
        return subprocess.run(["redis-cli", "-p", str(self.port), *secure, *args], check=True, capture_output=True,
                              timeout=30).stdout.decode().rstrip("\n")

    def ready(self):
        return accepts(self.port) and self.command("ping") == "PONG"


class Several:
    """What a group of servers has in common with one."""
    name = "redis"

    def __init__(self, folder, fleet, secure):
        self.folder = folder
        self.certificates = Certificates(os.path.join(folder, "tls")) if secure else None
        self.users = Redis.make_users(folder, fleet, PASSWORD if secure else None)
        self.members, self.others = [], []
        self.config = {}  # for the key redis of certfleet's configuration

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self, wait=True):
        for servers in self.members, self.others:
            for server in servers:
                server.start(wait=False)
            for server in servers:
                server.wait_ready()
        self.join()
        return self

    def stop(self):
        for server in self.others + self.members:
            server.stop()
        return 0

    def kill(self):
        for server in self.others + self.members:
            server.kill()

    def user(self, role):
        """What certfleet's configuration says in `redis` to be this role's user."""
        return {"username": f"certfleet-{role}", "password_file": os.path.join(self.users, f"{role}.password")}

    def alive(self):
        return any(m.alive() for m in self.members)

    @property
    def port(self):
        return self.primary().port

    @property
    def url(self):
        return self.primary().url

    def command(self, *args):
        return self.primary().command(*args)

    def client_args(self):
        return self.primary().client_args()

    def log_tail(self, lines=15):
        return "".join(f"{s.name}:\n{s.log_tail(lines)}" for s in self.members + self.others)


class Watched(Several):
    """A primary and its replicas under Sentinels."""

    def __init__(self, folder, fleet="demo", replicas=1, sentinels=3, down_after_ms=1000, secure=False):
        super().__init__(folder, fleet, secure)
        first = Member(self, "redis1")
        self.members = [first] + [Member(self, f"redis{i}", [f"replicaof {LOOPBACK} {first.port}"])
                                  for i in range(2, replicas + 2)]
        self.sentinels = self.others = [
            Sentinel(self.path(f"sentinel{i}"), f"sentinel{i}", first, sentinels // 2 + 1, down_after_ms,
                     self.certificates) for i in range(1, sentinels + 1)]
        asked = {"master": MASTER, "nodes": [f"{LOOPBACK}:{s.port}" for s in self.sentinels]}
        self.config = {"sentinel": asked}
        if secure:
            with open(os.open(self.path("sentinel.password"), os.O_WRONLY | os.O_CREAT, 0o600), "w",
                      encoding="utf-8") as f:
                f.write(SENTINEL_PASSWORD)
            asked.update(password_file=self.path("sentinel.password"), tls=True)
            self.config["tls"] = self.certificates.config()

    def join(self):
        want = f"slaves={len(self.members) - 1},sentinels={len(self.sentinels)}"
        wait_until(f"the Sentinels to see {want}", lambda: all(
            want in s.command("info", "sentinel") for s in self.sentinels), 30, 0.1)

    def primary(self):
        """Whom the Sentinels call so."""
        for sentinel in self.sentinels:
            if sentinel.alive():
                port = int(sentinel.command("sentinel", "get-master-addr-by-name", MASTER).split()[1])
                return next(m for m in self.members if m.port == port)
        raise ServerError("no Sentinel runs")

    def _switches(self):
        """(when, to which port), as each Sentinel says."""
        return {(log_time(line), int(line.split()[-1])) for s in self.sentinels for line in s.log().splitlines()
                if f"+switch-master {MASTER} " in line}

    def failover(self, how=signal.SIGKILL, seconds=60):
        """Kills the primary (or SIGSTOP: its host hangs) and waits until another was made one."""
        old, before = self.primary(), self._switches()
        old.signal(how)
        if how == signal.SIGKILL:
            old.process.wait()
        at, port = wait_until("a failover", lambda: min(self._switches() - before, default=None), seconds, 0.02)
        return Switch(old, next(m for m in self.members if m.port == port), at)

    def rejoin(self, server, seconds=60):
        """Starts a dead one again, as a replica of the primary, and waits until it is in step."""
        if not server.alive():
            server.start()
        server.command("replicaof", LOOPBACK, self.primary().port)
        wait_until(f"{server.name} to be in step", lambda: "master_link_status:up" in server.command(
            "info", "replication"), seconds, 0.1)


class Cluster(Several):
    """A cluster of `nodes` primaries that share the slots, the first with `replicas`."""

    def __init__(self, folder, fleet="demo", nodes=3, replicas=0, secure=False):
        super().__init__(folder, fleet, secure)
        self.key = f"cf:{{{fleet}}}:"
        self.primaries = nodes
        for i in range(1, nodes + replicas + 1):
            bus = free_port()
            self.members.append(Member(self, f"redis{i}", [
                "cluster-enabled yes", f"cluster-port {bus}", "cluster-node-timeout 1000",
                "cluster-replica-validity-factor 0", "cluster-allow-replica-migration no"]))
            self.members[-1].bus_port = bus
        self.config = {"cluster": {"nodes": [f"{LOOPBACK}:{m.port}" for m in self.members]}}
        if secure:
            self.config["tls"] = self.certificates.config()

    def id_of(self, member):
        return member.command("cluster", "myid")

    def join(self):
        first = self.members[0]
        if "cluster_known_nodes:1\r" not in first.command("cluster", "info") + "\r":
            self._settle()
            return
        self.slot = int(first.command("cluster", "keyslot", self.key))
        for i, member in enumerate(self.members):
            member.command("cluster", "set-config-epoch", i + 1)
        ends = [16384 * i // self.primaries for i in range(self.primaries + 1)]
        for i, member in enumerate(self.members[:self.primaries]):
            member.command("cluster", "addslotsrange", ends[i], ends[i + 1] - 1)
        for member in self.members[1:]:
            first.command("cluster", "meet", LOOPBACK, member.port, member.bus_port)
        self._all_know()
        owner = self.primary()
        for member in self.members[self.primaries:]:
            member.command("cluster", "replicate", self.id_of(owner))
            wait_until("a replica in step", lambda m=member: "master_link_status:up" in m.command(
                "info", "replication"), 30, 0.1)
        self._settle()

    def _all_know(self):
        want = f"cluster_known_nodes:{len(self.members)}"
        wait_until("all nodes to know each other", lambda: all(
            want in m.command("cluster", "info") for m in self.members), 30, 0.1)

    def _settle(self):
        wait_until("the cluster to be ok", lambda: all(
            "cluster_state:ok" in m.command("cluster", "info") for m in self.members if m.alive()), 30, 0.1)

    def _owns(self, member):
        """Whether it says so itself."""
        mine = next(line for line in member.command("cluster", "nodes").splitlines() if "myself" in line).split()
        if "master" not in mine[2]:
            return False
        for part in mine[8:]:
            low, _, high = part.partition("-")
            if low.isdigit() and int(low) <= self.slot <= int(high or low):
                return True
        return False

    def primary(self):
        """Who owns the fleet's slot."""
        return wait_until("somebody to own the slot", lambda: next(
            (m for m in self.members if m.alive() and self._owns(m)), None), 30, 0.05)

    def failover(self, how=signal.SIGKILL, seconds=60):
        """Kills the slot's owner, and waits until its replica has taken over."""
        old = self.primary()
        old.signal(how)
        if how == signal.SIGKILL:
            old.process.wait()
        rest = [m for m in self.members if m is not old and m.alive()]
        new = wait_until("a failover", lambda: next((m for m in rest if self._owns(m)), None), seconds, 0.02)
        won = [line for line in new.log().splitlines() if "Failover election won" in line]
        return Switch(old, new, log_time(won[-1]) if won else time.time())

    def rejoin(self, server, seconds=60):
        """Starts a dead one again: it finds that its slots are another's, and becomes a replica."""
        if not server.alive():
            server.start()
        wait_until(f"{server.name} to be in step", lambda: "master_link_status:up" in server.command(
            "info", "replication"), seconds, 0.1)

    def migrate(self, to=None, batch=20, pause=0.0):
        """Moves the fleet's slot live, key by key, as redis-cli --cluster reshard does. Gives how many keys."""
        source = self.primary()
        masters = [m for m in self.members if m.alive() and m.command("role").startswith("master")]
        to = to or next(m for m in masters if m is not source)
        auth = ["auth", PASSWORD] if self.certificates else []
        to.command("cluster", "setslot", self.slot, "importing", self.id_of(source))
        source.command("cluster", "setslot", self.slot, "migrating", self.id_of(to))
        moved = 0
        while True:
            keys = source.command("cluster", "getkeysinslot", self.slot, batch).splitlines()
            if not keys:
                break
            done = source.command("migrate", LOOPBACK, to.port, "", 0, 5000, *auth, "keys", *keys)
            if done != "OK":
                raise ServerError(f"MIGRATE: {done}")
            moved += len(keys)
            time.sleep(pause)
        for member in [to, source] + [m for m in masters if m not in (to, source)]:
            member.command("cluster", "setslot", self.slot, "node", self.id_of(to))
        return moved


KINDS = {"standalone": Redis, "sentinel": Watched, "cluster": Cluster}
