"""The HTTP API as programs use it; each answer is held against its OpenAPI document (contract.py)."""
import hashlib
import http.client
import json
import secrets

import contract


class Tokens(dict):
    """Names and tokens; scopes: name → (scope, tenant)."""

    def __init__(self, scopes):
        super().__init__({name: "cf_" + secrets.token_urlsafe(32) for name in scopes})
        self.scopes = scopes

    def write(self, path):
        """The file for scheduler.tokens_file."""
        path.write_text("".join(f"{name} {scope} {tenant} {hashlib.sha256(self[name].encode()).hexdigest()}\n"
                                for name, (scope, tenant) in self.scopes.items()))
        path.chmod(0o600)
        return str(path)


class Api:
    """Requests as a program sends them, to the scheduler number `at`."""

    def __init__(self, stack, token=None, at=0, host=None):
        self.port, self.token, self.host = stack.schedulers[at].port, token, host

    def __call__(self, method, path, body=None, raw=None, **headers):
        """(status, document or text, headers)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Host": self.host or f"127.0.0.1:{self.port}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            raw = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=raw, headers=sent)
        answer = connection.getresponse()
        bytes_read = answer.read()
        contract.check(method, path, sent, raw.encode() if isinstance(raw, str) else raw, answer.status,
                       dict(answer.getheaders()), bytes_read)
        text = bytes_read.decode()
        document = json.loads(text) if text and "json" in (answer.getheader("Content-Type") or "") else text
        connection.close()
        return answer.status, document, dict(answer.getheaders())


def problem(answer, status, code):
    got, document, headers = answer
    assert got == status, (got, document)
    assert headers["Content-Type"] == "application/problem+json"
    assert document["type"] == f"urn:certfleet:{code}" and document["status"] == status and document["detail"]
    return document


class Listener:
    """Server-sent events, read as they come."""

    def __init__(self, stack, token, after=None, at=0):
        self.connection = http.client.HTTPConnection("127.0.0.1", stack.schedulers[at].port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", **({"Last-Event-ID": after} if after else {})}
        self.connection.request("GET", "/v1/events", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200 and self.answer.getheader("Content-Type") == "text/event-stream"
        self.last = None

    def next(self, wanted):
        """The next event for which wanted(type, data) holds."""
        kind, data = "message", ""
        for line in iter(self.answer.readline, b""):
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "id":
                self.last = value
            elif key == "event":
                kind = value
            elif key == "data":
                data = json.loads(value)
            elif not line.strip():
                self.check(kind, data)
                if data and wanted(kind, data):
                    return data
                kind, data = "message", ""
        raise AssertionError("the stream ended")

    @staticmethod
    def check(kind, data):
        schema = {"changed": "Changed", "gap": "Gap"}.get(kind, "Event")
        found = contract.CONTRACT.schema_errors(schema, data) if data else []
        assert not found, f"event {kind}: {found}"

    def close(self):
        self.connection.close()
