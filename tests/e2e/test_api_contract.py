"""The API is what its OpenAPI document says, for good requests and for bad ones; and it refuses whoever it should.

CERTFLEET_FUZZ_SECONDS=600 fuzzes for longer, CERTFLEET_FUZZ_SEED=N from another seed.
"""
import hashlib
import http.client
import io
import json
import os
import socket
import subprocess
import threading
import time

import contract
import fuzz_api
import jsonschema
import pytest
from api_aid import Api, Tokens, problem
from conftest import TOP, build_name, running_stack
from servers import wait_until

TOKENS = {"ops": ("write", "-"), "viewer": ("read", "-"), "acme": ("write", "acme"), "acme-viewer": ("read", "acme")}
SECONDS = float(os.environ.get("CERTFLEET_FUZZ_SECONDS", "15" if "asan" in build_name() else "4"))
SEED = int(os.environ.get("CERTFLEET_FUZZ_SEED", "1"))
THREADS = 6
MARK = "zz-not-for-acme"
OPERATIONS = [(method.upper(), template, operation)
              for template, item in contract.CONTRACT.document["paths"].items()
              for method, operation in item.items() if method != "parameters"]


@pytest.fixture(scope="module")
def tokens():
    return Tokens(TOKENS)


@pytest.fixture(scope="module")
def stack(tokens, tmp_path_factory):
    path = tokens.write(tmp_path_factory.mktemp("contract") / "tokens")
    for stack in running_stack(sync=False, workers=1, config={"scheduler": {"tokens_file": path}}):
        ops = Api(stack, tokens["ops"])
        events = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {tokens['ops']}\r\n\r\n".encode()
        for endpoint, tenant in (("mine", "acme"), ("theirs", MARK), ("good", "acme")):
            assert ops("POST", "/v1/endpoints", {"names": [f"{endpoint}.internal.test"], "type": "internal", "id": endpoint,
                                                 "tenant": tenant})[0] == 201
        record = ops("GET", "/v1/endpoints/good/records")[1]["records"][0]
        stack.knot.add((record["owner"], record["type"], record["target"] + "."))
        ops("POST", "/v1/endpoints/good/verify")
        for s in stack.schedulers:
            sender = Sender(s.port)
            wait_until("the streams to be read", lambda s=sender: s.send([(events, "GET")])[0][0] == 200, 20)
            sender.close()
        yield stack


@pytest.fixture
def ops(stack, tokens):
    return Api(stack, tokens["ops"])


# --- the document

def test_the_document_is_openapi(stack):
    with open(os.path.join(TOP, "tests", "e2e", "vendor", "openapi", "schema.json"), encoding="utf-8") as f:
        meta = jsonschema.Draft202012Validator(json.load(f))
    status, served, headers = Api(stack)("GET", "/v1/openapi.json")  # without a token
    assert status == 200 and served == contract.load()
    assert not [e.message for e in meta.iter_errors(served)]
    for name, schema in served["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for example in contract.CONTRACT.resolve(schema).get("examples", []):
            assert not contract.CONTRACT.schema_errors(name, example)
    assert Api(stack)("GET", "/v1/openapi.json", If_None_Match=headers["ETag"])[0] == 304
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))


def examples(media):
    return [media["example"]] if "example" in media else [e["value"] for e in media.get("examples", {}).values()]


def test_its_examples_are_right():
    seen = 0
    for method, template, operation in OPERATIONS:
        bodies = list(operation.get("requestBody", {}).get("content", {}).items())
        for response in operation["responses"].values():
            bodies += contract.CONTRACT.resolve(response).get("content", {}).items()
        for kind, media in bodies:
            for value in examples(media) if kind != "text/event-stream" else []:
                seen += 1
                assert not contract.CONTRACT.errors([method, template, kind, seen], media["schema"], value)
    assert seen > 50


DONE = {"status": "done", "endpoint": "shop", "generation": 1}
PROBLEM = {"type": "urn:certfleet:invalid", "title": "invalid", "status": 400, "detail": "d", "instance": "/v1/x"}


@pytest.mark.parametrize("method, path, status, kind, body", [
    ("POST", "/v1/endpoints/shop/verify", 200, "application/json", {**DONE, "more": 1}),
    ("POST", "/v1/endpoints/shop/verify", 200, "application/json", {"status": "done"}),
    ("POST", "/v1/endpoints/shop/verify", 200, "text/plain", DONE),
    ("POST", "/v1/endpoints/shop/verify", 201, "application/json", DONE),
    ("POST", "/v1/endpoints", 201, "application/json", DONE),  # no Location
    ("GET", "/v1/nothing", 200, "application/json", {}),
    ("GET", "/v1/session", 400, "application/problem+json", {**PROBLEM, "status": 422}),
    ("GET", "/v1/session", 400, "application/problem+json", {**PROBLEM, "type": "urn:certfleet:new", "title": "new"}),
    ("GET", "/v1/session", 500, "application/problem+json", {**PROBLEM, "status": 500}),
    ("GET", "/v1/session", 401, "application/problem+json", {**PROBLEM, "status": 401}),  # no WWW-Authenticate
])
def test_what_is_not_documented_is_seen(method, path, status, kind, body):
    assert contract.CONTRACT.answer_errors(method, path, status, {"content-type": kind}, json.dumps(body).encode())


# --- who is refused, at every operation

def sample(template, endpoint="mine"):
    return template.replace("{id}", endpoint)


def body_of(operation):
    return {} if "requestBody" in operation else None


def roles(operation):
    return {role for way in operation["security"] for words in way.values() for role in words}


@pytest.mark.parametrize("method, template, operation", OPERATIONS, ids=[f"{m} {t}" for m, t, _ in OPERATIONS])
def test_each_operation_refuses_whoever_it_should(stack, tokens, method, template, operation):
    path, body = sample(template), body_of(operation)
    evil = Api(stack, tokens["ops"], host="evil.test")  # a name that was made to lead here
    problem(evil(method, path, body), 421, "foreign_host")
    if method != "GET":
        ops = Api(stack, tokens["ops"])
        for header in ({"Origin": "https://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            problem(ops(method, path, body, **header), 403, "foreign_site")
        problem(Api(stack)(method, path, body, Cookie="certfleet_session=x"), 403, "foreign_site")
        problem(ops(method, path, raw="a=1", Content_Type="application/x-www-form-urlencoded"), 415, "not_json")
    if not operation["security"]:
        return
    problem(Api(stack)(method, path, body), 401, "no_token")
    problem(Api(stack, "cf_wrong")(method, path, body), 401, "unknown_token")
    if "write" in roles(operation):
        problem(Api(stack, tokens["viewer"])(method, path, body), 403, "read_only")
        problem(Api(stack, tokens["acme-viewer"])(method, path, body), 403, "read_only")
    if "fleet" in roles(operation):
        problem(Api(stack, tokens["acme"])(method, path, body), 403, "not_yours")
    elif "/endpoints/{id}" in template:
        # Another tenant's is not there, as if it did not exist.
        theirs = problem(Api(stack, tokens["acme"])(method, sample(template, "theirs"), body), 404, "not_found")
        none = problem(Api(stack, tokens["acme"])(method, sample(template, "nobody"), body), 404, "not_found")
        assert theirs["detail"].replace("theirs", "nobody") == none["detail"]


def test_a_link_that_ended(stack, ops):
    def link():
        return ops("POST", "/v1/endpoints/mine/links", {"expires_in": 600})[1]["secret"]

    def end(secret):
        key = f"cf:{{demo}}:link:{hashlib.sha256(secret.encode()).hexdigest()}"
        assert stack.redis.command("pexpire", key, "1").strip() == "1"
        wait_until("the link's end", lambda: stack.redis.command("exists", key).strip() == "0", 10)
    customer, origin = Api(stack), {"Origin": f"http://127.0.0.1:{stack.schedulers[0].port}"}
    late, early = link(), link()
    end(late)
    problem(customer("POST", "/v1/links/exchange", {"secret": late}, **origin), 410, "link_over")
    status, _, headers = customer("POST", "/v1/links/exchange", {"secret": early}, **origin)
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    assert status == 200 and customer("GET", "/v1/endpoints/mine", **cookie)[0] == 200
    # Its cookie lives as long as the link, however often it is used; then both are over.
    assert "Max-Age=600" in headers["Set-Cookie"] or "Max-Age=599" in headers["Set-Cookie"]
    session = f"cf:{{demo}}:session:{hashlib.sha256(cookie['Cookie'].partition('=')[2].encode()).hexdigest()}"
    assert 0 < int(stack.redis.command("ttl", session)) <= 600
    end(early)
    problem(customer("GET", "/v1/endpoints/mine", **cookie), 401, "link_over")


def test_who_may_read_may_log_out(stack, tokens):
    browser, origin = Api(stack), {"Origin": f"http://127.0.0.1:{stack.schedulers[0].port}"}
    headers = browser("POST", "/v1/session", {"token": tokens["viewer"]}, **origin)[2]
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    assert browser("GET", "/v1/session", **cookie)[1]["scope"] == "read"
    assert browser("DELETE", "/v1/session", **cookie, **origin)[0] == 200
    problem(browser("GET", "/v1/session", **cookie), 401, "session_over")


# --- what was changed since, and what is sent again

def test_what_is_known_is_not_sent(ops):
    for path in ("/v1/endpoints/mine", "/v1/endpoints/mine/records", "/v1/quotas", "/v1/silences", "/v1/session", "/v1/openapi.json"):
        etag = ops("GET", path)[2]["ETag"]
        for known in (etag, "W/" + etag, f'"other", {etag}', "*"):
            status, text, headers = ops("GET", path, If_None_Match=known)
            if status == 200 and headers["ETag"] != etag:
                continue  # a worker looked at it meanwhile
            assert status == 304 and text == "" and headers["ETag"] == etag
        assert ops("GET", path, If_None_Match='"other"')[0] == 200


def test_an_update_that_would_be_lost_is_refused(stack, ops, tokens, patience):
    new = {"names": ["two.internal.test"], "type": "internal", "id": "two", "tenant": "acme"}
    assert ops("POST", "/v1/endpoints", new)[0] == 201
    read = ops("GET", "/v1/endpoints/two")
    etag = read[2]["ETag"]
    assert etag.startswith(f'"{read[1]["generation"]}-')
    # That it was looked at holds nobody back.
    assert ops("POST", "/v1/endpoints/two/verify")[0] == 200
    wait_until("a look", lambda: ops("GET", "/v1/endpoints/two")[1]["dns"], 30 * patience)
    assert ops("GET", "/v1/endpoints/two")[2]["ETag"] != etag
    first = ops("PATCH", "/v1/endpoints/two", {"names": ["two.internal.test", "a.internal.test"]}, If_Match=etag)
    assert first[0] == 200 and first[1]["generation"] == read[1]["generation"] + 1
    # The other one, who had read the same, would undo it.
    late = {"names": ["two.internal.test", "b.internal.test"]}
    problem(Api(stack, tokens["acme"], at=1)("PATCH", "/v1/endpoints/two", late, If_Match=etag), 412, "stale")
    problem(ops("DELETE", "/v1/endpoints/two", If_Match=etag), 412, "stale")
    problem(ops("PATCH", "/v1/endpoints/two", late, If_Match="W/" + ops("GET", "/v1/endpoints/two")[2]["ETag"]), 412, "stale")
    problem(ops("PATCH", "/v1/endpoints/two", late, If_Match="what?"), 412, "stale")
    assert ops("GET", "/v1/endpoints/two")[1]["names"] == ["a.internal.test", "two.internal.test"]
    problem(ops("PATCH", "/v1/endpoints/nobody", late, If_Match="*"), 404, "not_found")
    assert ops("PATCH", "/v1/endpoints/two", late, If_Match=f'"1-old", "{first[1]["generation"]}"')[0] == 200
    assert ops("DELETE", "/v1/endpoints/two", If_Match="*")[0] == 200


def test_of_many_at_once_one_wins(stack, ops, tokens):
    """All have read the same, and pass the schedulers' own look: the leader tells them apart."""
    assert ops("POST", "/v1/endpoints", {"names": ["race.internal.test"], "type": "internal", "id": "race"})[0] == 201
    etag, answers = ops("GET", "/v1/endpoints/race")[2]["ETag"], []

    def change(i):
        api = Api(stack, tokens["ops"], at=i % 2)
        answers.append(api("PATCH", "/v1/endpoints/race", {"names": [f"race{i}.internal.test"]}, If_Match=etag))
    threads = [threading.Thread(target=change, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a[0] for a in answers) == [200] + [412] * 7
    assert ops("GET", "/v1/endpoints/race")[1]["generation"] == 2
    assert ops("DELETE", "/v1/endpoints/race")[0] == 200


def test_a_key_is_for_one_request(stack, ops, tokens, patience):
    new = {"names": ["once.internal.test"], "type": "internal", "id": "once"}
    first = ops("POST", "/v1/endpoints", new, Idempotency_Key="key-once")
    assert first[0] == 201
    again = Api(stack, tokens["ops"], at=1)("POST", "/v1/endpoints", new, Idempotency_Key="key-once")
    assert again[:2] == first[:2] and again[2]["Location"] == first[2]["Location"]
    problem(ops("POST", "/v1/endpoints", {**new, "id": "other"}, Idempotency_Key="key-once"), 422, "key_reused")
    problem(ops("DELETE", "/v1/endpoints/once", Idempotency_Key="key-once"), 422, "key_reused")
    # Another token's key is another key; a refusal is repeated as well.
    other = Api(stack, tokens["acme"])
    problem(other("POST", "/v1/endpoints", new, Idempotency_Key="key-once"), 409, "exists")
    problem(other("POST", "/v1/endpoints", new, Idempotency_Key="key-once"), 409, "exists")
    # What was done is answered as it was, though another would be stale, or has nothing left to do.
    etag, change = ops("GET", "/v1/endpoints/once")[2]["ETag"], {"names": ["once.internal.test", "more.internal.test"]}
    done = [ops("PATCH", "/v1/endpoints/once", change, Idempotency_Key="key-patch", If_Match=etag) for _ in range(2)]
    assert done[0][0] == done[1][0] == 200 and done[0][1] == done[1][1]
    gone = ops("DELETE", "/v1/endpoints/once", Idempotency_Key="key-gone")
    wait_until("it to be gone", lambda: ops("GET", "/v1/endpoints/once")[0] == 404, 60 * patience)
    assert ops("DELETE", "/v1/endpoints/once", Idempotency_Key="key-gone")[:2] == gone[:2] == (200, gone[1])
    for bad in ("", "a b", "x" * 129, "q\"q", "b\\b", "\xe9"):
        problem(ops("POST", "/v1/endpoints", new, Idempotency_Key=bad), 400, "invalid")
    problem(ops("POST", "/v1/endpoints/mine/links", {}, Idempotency_Key="k"), 400, "invalid")


# --- jobs, the chain, and limits

def test_jobs_are_retried_and_cancelled(ops, patience):
    wait_until("a look", lambda: ops("GET", "/v1/endpoints/mine")[1]["dns"], 30 * patience)
    status, done, _ = ops("POST", "/v1/endpoints/mine/retry", {"queue": "verify"})
    assert status == 200 and done["retried"] == ["verify"] or status == 409  # 409: it ran just then
    assert wait_until("a retry", lambda: ops("POST", "/v1/endpoints/mine/retry")[1].get("retried"), 10 * patience)
    problem(ops("POST", "/v1/endpoints/mine/retry", {"queue": "both"}), 422, "invalid")
    problem(ops("POST", "/v1/endpoints/mine/cancel", {"queue": "issue"}), 409, "no_job")


def test_the_chain_is_public(stack, ops, patience):
    wait_until("a certificate", lambda: ops("GET", "/v1/endpoints/good/certificate")[0] == 200, 90 * patience, 0.2)
    status, pem, headers = ops("GET", "/v1/endpoints/good/certificate.pem")
    assert status == 200 and headers["Content-Type"] == "application/pem-certificate-chain" and "PRIVATE" not in pem
    serial = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout
    assert int(serial.split("=")[1], 16) == int(ops("GET", "/v1/endpoints/good/certificate")[1]["serial"], 16)
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert ops("GET", "/v1/endpoints/good/certificate.pem", If_None_Match=headers["ETag"])[0] == 304
    problem(ops("GET", "/v1/endpoints/mine/certificate.pem"), 404, "no_certificate")


def test_each_path_says_what_it_can(ops):
    for method in ("PUT", "OPTIONS", "TRACE", "BREW"):
        answer = ops(method, "/v1/endpoints/mine")
        problem(answer, 405, "method_not_allowed")
        assert answer[2]["Allow"] == "GET, HEAD, PATCH, DELETE"
    status, text, headers = ops("HEAD", "/v1/endpoints/mine")
    assert status == 200 and text == "" and headers["ETag"]


def test_requests_have_limits(stack, ops, tokens):
    problem(ops("POST", "/v1/endpoints", raw=" " * 65537, Content_Type="application/json"), 413, "body_too_large")
    problem(ops("POST", "/v1/endpoints", raw=" " * 65536, Content_Type="application/json"), 400, "not_json")
    problem(ops("GET", "/v1/" + "a" * 2045), 414, "path_too_long")
    problem(ops("GET", "/v1/" + "a" * 2044), 404, "not_found")
    problem(ops("GET", "/v1/endpoints?limit=1&limit=1"), 400, "invalid")
    problem(ops("GET", "/v1/endpoints?stat=active"), 400, "invalid")
    problem(ops("GET", "/v1/quotas?limit=1"), 400, "invalid")
    problem(ops("POST", "/v1/endpoints/mine/verify", {"now": True}), 422, "invalid")
    connection = http.client.HTTPConnection("127.0.0.1", stack.schedulers[0].port, timeout=20)
    connection.request("GET", "/v1/session", headers={"X-Long": "x" * 17000, "Authorization": "Bearer " + tokens["ops"]})
    assert connection.getresponse().status == 431
    connection.close()


# --- fuzzing

class Kept(io.BufferedReader):
    """What was read ahead is of the next answer."""

    def close(self):
        pass

    def makefile(self, *_):
        return self


class Sender:
    """One connection to a scheduler, made anew when it ends."""

    def __init__(self, port):
        self.port, self.socket, self.file = port, None, None

    def close(self):
        if self.socket:
            io.BufferedReader.close(self.file)
            self.socket.close()
        self.socket = None

    def connect(self):
        if not self.socket:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            self.file = Kept(socket.SocketIO(self.socket, "r"))
        return self.socket

    def send(self, raws, seconds=60):
        """What comes back for requests sent at once: [(status, headers, body)], fewer if the server closes."""
        self.connect().settimeout(seconds)
        answers = []
        try:
            self.socket.sendall(b"".join(raw for raw, _ in raws))
            for _, method in raws:
                if self.socket:
                    answers.append(self.read(method))
        except (ConnectionError, http.client.HTTPException):
            self.close()
        return answers

    def read(self, method):
        answer, stream = http.client.HTTPResponse(self.file, method=method), True
        try:
            answer.begin()
            headers = {k.lower(): v for k, v in answer.getheaders()}
            stream = headers.get("content-type") == "text/event-stream"
            body = b"" if stream else answer.read()
            return answer.status, headers, body
        finally:
            over = stream or answer.will_close
            answer.close()
            if over:
                self.close()


def judge(request, status, headers, body):
    """What is wrong with an answer to a request."""
    if status >= 500:
        return [f"{status}: {body[:500]!r}"]
    if not request.head or request.method not in fuzz_api.METHODS[:6]:
        return []
    sent = {k.lower(): v for k, v in request.headers}
    found = contract.CONTRACT.answer_errors(request.method, path_of(request), status, headers, body)
    if 200 <= status < 300:
        found += contract.CONTRACT.request_errors(request.method, request.target, sent, request.body)
    return found


def path_of(request):
    return request.target.partition("?")[0]


class Fuzzer(threading.Thread):
    def __init__(self, number, stack, tokens, until):
        super().__init__()
        self.port, self.until, self.sent, self.failure, self.statuses = stack.schedulers[number % 2].port, until, 0, None, {}
        self.acme = {tokens["acme"], tokens["acme-viewer"]}
        self.seed = SEED * 1000 + number
        self.maker = fuzz_api.Maker(self.seed, contract.CONTRACT, tokens, self.port, lambda: ["mine", "theirs", "good", "fz-gone"])
        self.sender, self.before = Sender(self.port), None

    def run(self):
        try:
            while time.monotonic() < self.until and not self.failure:
                self.step()
        except Exception as e:  # what the main thread shows
            self.failure = self.failure or repr(e)
        self.sender.close()

    def step(self):
        requests = [self.maker.make() for _ in range(3 if self.maker.chance(0.03) else 1)]
        cut = requests[-1].cut is not None
        if cut:
            self.sender.connect().sendall(requests[-1].raw())
            self.sender.close()
            return
        bent = any(not r.head for r in requests)
        answers = self.exchange(requests, bent)
        for r in requests:
            r.head = not bent  # what is bent leaves the others of its connection in doubt
        if bent:
            self.sender.close()
        elif not answers and not self.alive():
            self.fail(requests, ["no answer, and the scheduler is gone"])
        for request, answer in zip(requests, answers):
            self.look(request, answer)
        self.sent += len(requests)
        self.before = requests[-1]

    def exchange(self, requests, bent):
        """What is bent may make the server wait for more."""
        try:
            return self.sender.send([(r.raw(), r.method) for r in requests], 0.5 if bent else 60)
        except TimeoutError:
            if not bent:
                raise
            return []

    def look(self, request, answer):
        self.statuses[answer[0]] = self.statuses.get(answer[0], 0) + 1
        found = judge(request, *answer)
        if request.token in self.acme and MARK.encode() in answer[2] and MARK not in str(request.raw()):
            found.append("another tenant's endpoint is shown")
        if found:
            self.fail([request], found, answer)

    def alive(self):
        return Sender(self.port).send([(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET")])

    def fail(self, requests, found, answer=None):
        self.failure = f"seed {self.seed}, request {self.sent}:\n" + "\n".join(r.curl(self.port) for r in requests) + \
            "\n" + "\n".join(found) + f"\nthe answer: {answer!r:.1500}\nbefore it: {self.before and self.before.raw()!r:.1500}"


def test_no_request_breaks_it(stack, ops, tokens):
    before = [s.process.pid for s in stack.schedulers]
    fuzzers = [Fuzzer(i, stack, tokens, time.monotonic() + SECONDS) for i in range(THREADS)]
    for f in fuzzers:
        f.start()
    for f in fuzzers:
        f.join()
    assert not [f.failure for f in fuzzers if f.failure], "\n\n".join(f.failure for f in fuzzers if f.failure)
    statuses = {}
    for f in fuzzers:
        for status, n in f.statuses.items():
            statuses[status] = statuses.get(status, 0) + n
    print(f"seed {SEED}: {sum(f.sent for f in fuzzers)} requests in {SECONDS:.0f} s: {dict(sorted(statuses.items()))}")
    assert statuses[200] and statuses[400] and statuses[404] and statuses[422]
    for s, pid in zip(stack.schedulers, before):
        assert s.process.pid == pid and s.process.poll() is None
    for at in range(len(stack.schedulers)):
        assert Api(stack, tokens["ops"], at)("GET", "/v1/status")[0] == 200
    assert ops("POST", "/v1/endpoints", {"names": ["after.internal.test"], "type": "internal", "id": "after"})[0] == 201
