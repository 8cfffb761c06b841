"""A fleet that only alerts: Redis, schedulers, workers with the role notify, and those who are told."""
import base64
import hashlib
import hmac
import http.server
import importlib.util
import json
import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request

import msgpack
import redis
import stack as stack_module
from conftest import TOP, refused
from servers import LOOPBACK, Redis, Server, free_port, wait_until

SECRET = base64.b64encode(b"a secret of 32 bytes for a test!").decode()


class Receiver:
    """A webhook's other end: checks each signature, keeps what it took, and may be slow or say no."""

    def __init__(self, secret=SECRET):
        self.port = free_port()
        self.key = base64.b64decode(secret) if secret else None
        self.took, self.tries, self.headers = [], [], []
        self.status, self.delay, self.answer_headers = 204, 0, {}
        self.server = None

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}/hook"

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.handle(self.headers, body)
                self.send_response(status)
                for name, value in receiver.answer_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def handle(self, headers, body):
        self.tries.append(headers["webhook-id"])
        if self.key:
            content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            mac = base64.b64encode(hmac.new(self.key, content, hashlib.sha256).digest()).decode()
            if f"v1,{mac}" not in headers["webhook-signature"].split():
                return 401
        if self.delay:
            time.sleep(self.delay)
        if self.status < 300:
            self.headers.append(dict(headers))
            self.took.append((headers["webhook-id"], json.loads(body)))
        return self.status

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def events(self):
        """(id of the alert, kind) in the order that they came."""
        return [(e["data"].get("id"), e["type"].rsplit(".", 1)[1]) for _, e in list(self.took)]


class Alertmanager(Server):
    name = "alertmanager"

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        config = self.write("alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")
        self.argv = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/data",
                     f"--web.listen-address={LOOPBACK}:{self.port}", "--cluster.listen-address="]

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}"

    def ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def alerts(self):
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return json.load(answer)


class Fleet:
    """config: merged over the configuration. Started at once."""

    def __init__(self, schedulers=1, notifiers=1, config=None):
        self.folder = tempfile.mkdtemp(prefix="certfleet-alerts-")
        self.redis = Redis(self.path("redis"), fleet="demo")
        self.redis.start()
        self.db = redis.Redis.from_url(self.redis.url)
        self.config = self.write("cli", config or {}, {"redis": self.redis.user("operator")})
        self.schedulers = [self.scheduler(i, config or {}) for i in range(schedulers)]
        self.workers = [self.notifier(i, config or {}) for i in range(notifiers)]
        self.sync = None

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def key(self, name):
        return "cf:{demo}:" + name

    def write(self, name, config, more=None):
        base = {"fleet": "demo", "redis": {"url": self.redis.url}, "scheduler": {"lease": "1s"},
                "worker": {"roles": ["notify"], "lease": "2s"},
                "alerts": {"retry": {"first": "200ms", "longest": "1s"},
                           "incident": {"endpoints": 5, "window": "1h", "hold": "2s"}}}
        merged = stack_module.merge(stack_module.merge(base, config), more or {})
        with open(self.path(f"{name}.yaml"), "w", encoding="utf-8") as f:
            f.write(stack_module.to_yaml(merged))
        return f.name

    def program(self, name):
        return os.path.join(stack_module.build_dir(), name)

    def scheduler(self, i, config):
        port = free_port()
        path = self.write(f"scheduler{i}", config, {
            "redis": self.redis.user("scheduler"), "scheduler": {"listen": f"{LOOPBACK}:{port}"}})
        return stack_module.Scheduler(self.path(f"s{i}"), f"scheduler{i}", self.program("certfleet-scheduler"), path, port).start()

    def notifier(self, i, config):
        port = free_port()
        path = self.write(f"worker{i}", config, {
            "redis": self.redis.user("notify"), "worker": {"name": f"notify{i}", "listen": f"{LOOPBACK}:{port}"}})
        return stack_module.Daemon(self.path(f"w{i}"), f"notify{i}", self.program("certfleet-worker"), path, port).start()

    def cli(self, *args, check=True):
        return stack_module.Stack.cli(self, *args, check=check)

    def cli_json(self, *args, **kwargs):
        return json.loads(self.cli("--json", *args, **kwargs).stdout)

    def trim(self, stream, cap, keep_ms):
        """As the leader does, with another cap and age: [length, taken, lost, oldest]."""
        folder = os.path.join(TOP, "common", "lua")
        spec = importlib.util.spec_from_file_location("embed", os.path.join(folder, "embed.py"))
        embed = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(embed)
        return self.db.eval(embed.resolve(folder, "trim.lua", set()), 1, self.key(""), stream, cap, keep_ms, 100000)

    def edge(self, endpoint, condition="servers_silent", open=True, severity="warning", **more):
        data = {"V": 1, "condition": condition, "open": open, "endpoint": endpoint, "tenant": "t1", "severity": severity,
                "actor": "owner", "text": f"{endpoint}: {condition}", "fix": "", **more}
        self.db.xadd(self.key("edges"), {"type": condition, "subject": endpoint, "data": msgpack.packb(data)})

    def endpoints(self, *ids):
        """Enough of an endpoint for the sweep not to take it for removed: one that cannot be judged."""
        for e in ids:
            self.db.hset(self.key("e:" + e), mapping={"n": "t1", "c": b"not msgpack"})

    def said(self, *kinds):
        """(id of the alert, kind) of all that was said."""
        out = []
        for _, fields in self.db.xrange(self.key("alerts")):
            kind = fields[b"type"].decode().rsplit(".", 1)[1]
            data = msgpack.unpackb(fields[b"data"])
            if "key" in data and (not kinds or kind in kinds):
                out.append((data["id"], kind))
        return out

    def wait_said(self, n, *kinds, seconds=30):
        return wait_until(f"{n} times {kinds} on the stream", lambda: len(self.said(*kinds)) >= n, seconds)

    def joined(self, *names, seconds=20):
        """Until the targets' groups are there: what comes from now on is theirs."""
        def there():
            if not self.db.exists(self.key("alerts")):
                return False
            groups = {g["name"].decode() for g in self.db.xinfo_groups(self.key("alerts"))}
            return groups >= {f"notify:{n}" for n in names}
        wait_until("the targets to be joined", there, seconds)

    def group(self, name):
        return next(g for g in self.db.xinfo_groups(self.key("alerts")) if g["name"].decode() == f"notify:{name}")

    def settled(self, name):
        g = self.group(name)
        return g["pending"] == 0 and g["last-delivered-id"] == self.db.xinfo_stream(self.key("alerts"))["last-generated-id"]

    def stop(self):
        """Ends all politely; gives what is wrong with how they ended."""
        findings = refused(self)
        for server in self.workers + self.schedulers:
            if server.process is not None and server.stop() != 0:
                findings.append(f"{server.name} did not end with 0:\n{server.log_tail()}")
            if "Sanitizer" in server.log() or "runtime error:" in server.log():
                findings.append(f"{server.name}:\n{server.log()[-6000:]}")
        self.redis.stop()
        if not os.environ.get("CERTFLEET_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
        return findings
