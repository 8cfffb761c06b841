"""Requests made from the OpenAPI document, good ones and ones that are wrong in every way that comes to mind.

A request is a value: what is sent, and who sends it. It comes from a seed, so that what failed can be made again; what
ids there are is all that it takes from the fleet. tests/e2e/test_api_contract.py sends them.
"""
import json
import random
import shlex
import string
import urllib.parse

JSON = "application/json"
LONG = 70000
TEXTS = ["", " ", "a", "A", "shop", "Shop.Example.TEST", "xn--", "xn--mnchen-3ya.test", "münchen.test", "日本語.test", "\U0001f512.test",
         "*.wild.test", "*.*.test", "a..b", ".a", "-a.test", "a" * 64 + ".test", "a." * 130 + "test", "127.0.0.1", "::1",
         "..", "../../etc/passwd", "%2e%2e", "%00", "\x00", "\x7f", "\n", "a\r\nX-Injected: 1", "\u202eevil", "\ufeff", "null",
         "\ud7ff", "é" * 100, "'; DROP TABLE x; --", "<script>alert(1)</script>", "{{7*7}}", "${jndi:x}", "*", "?" * 50, "*" * 200,
         "fleet", "a b", "a,b", "\"", "\\", "0", "-1", "1e9", "9" * 30, "true", "[]"]
NUMBERS = [0, 1, -1, 59, 60, 61, 2592000, 2592001, 2 ** 31, 2 ** 32, 2 ** 53 + 1, 2 ** 63 - 1, -2 ** 63, 0.5, 1e10, 1e308]
RAW_NUMBERS = ["1e999", "-0", "1E400", "9" * 400, "0.1e-400", "01", "+1", "NaN", "Infinity", "0x10"]
QUERY_VALUES = TEXTS + ["1", "200", "201", "1000", "1001", "18446744073709551616", "active", "active,", ",", "active,active",
                        "trouble", "expiry", "0-0,0-0", "1-1,1-1", "-,-", "9" * 62 + "," + "9" * 62, "9" * 63 + ",1"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "G", "X" * 300, "GE\tT"]
TYPES = [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/x-www-form-urlencoded",
         "multipart/form-data; boundary=x", "application/jsonx", "", ";", "application/json" + " " * 300, "text/json"]


class Request:
    """What is sent. head: the request line and headers were left whole, so that the API itself must answer."""

    def __init__(self, method, target, headers, body, token):
        self.method, self.target, self.headers, self.body, self.token = method, target, headers, body, token
        self.head, self.cut, self.chunked = True, None, False

    def raw(self):
        body = self.body
        headers = list(self.headers)
        if self.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 999]), body[i:i + 999]) for i in range(0, len(body), 999)) + b"0\r\n\r\n"
        elif body or self.method not in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(body))))
        lines = [f"{self.method} {self.target} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers]
        raw = "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body
        return raw if self.cut is None else raw[:self.cut % len(raw)]

    def curl(self, port):
        words = ["curl", "-i", "-X", self.method] + [w for k, v in self.headers for w in ("-H", f"{k}: {v}")]
        if self.body:
            words += ["--data-binary", self.body.decode("utf-8", "backslashreplace")]
        return shlex.join(words + [f"http://127.0.0.1:{port}{self.target}"]) + f"\nall of it: {self.raw()!r:.3000}"


class Maker:
    """contract: of contract.py. tokens: name → token. ids(): endpoints that there are, of all tenants."""

    def __init__(self, seed, contract, tokens, port, ids):
        self.random = random.Random(seed)
        self.contract, self.tokens, self.port, self.ids = contract, tokens, port, ids
        self.operations = [(method.upper(), template, item, operation)
                           for template, item in contract.document["paths"].items()
                           for method, operation in item.items() if method != "parameters"]

    def one(self, *choices):
        return self.random.choice(choices)

    def chance(self, p):
        return self.random.random() < p

    # --- values

    def good(self, schema, key=""):
        """A value that fits a resolved schema."""
        r = self.random
        if "anyOf" in schema:
            return self.good(r.choice(schema["anyOf"]), key)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return r.choice(schema["enum"])
        kind = schema.get("type", "string")
        kind = r.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            return {k: self.good(v, k) for k, v in schema["properties"].items() if k in schema.get("required", []) or self.chance(0.4)}
        if kind == "array":
            n = r.choice([schema.get("minItems", 0), r.randint(1, 4), schema.get("maxItems", 4)])
            return [self.name(i) for i in range(n)] if key == "names" else [self.good(schema["items"]) for _ in range(n)]
        if kind == "integer":
            least, most = schema.get("minimum", 0), schema.get("maximum", 10 ** 9)
            return r.choice([least, most, r.randint(least, most)])
        return {"null": None, "boolean": True}.get(kind, self.text(schema, key)) if kind != "string" else self.text(schema, key)

    def name(self, i=0):
        label = "".join(self.random.choice(string.ascii_lowercase) for _ in range(8))
        return f"{label}{i}.fuzz.internal.test"

    def text(self, schema, key):
        if key in ("target",):
            return "ingress.platform.test"
        if key == "id" or schema.get("pattern", "").startswith("^[a-z0-9][a-z0-9") or schema.get("pattern", "").startswith("^([a-z0-9]"):
            return "fz-" + "".join(self.random.choice(string.ascii_lowercase) for _ in range(8))
        least, most = schema.get("minLength", 0), schema.get("maxLength", 20)
        n = self.random.choice([max(least, 1), most, self.random.randint(max(least, 1), most)])
        return "".join(self.random.choice(string.ascii_letters + string.digits + ".-") for _ in range(n))

    def hostile(self, depth=0):
        kinds = [lambda: self.random.choice(TEXTS), lambda: self.random.choice(NUMBERS), lambda: None, lambda: True,
                 lambda: "x" * self.random.choice([63, 64, 65, 200, 201, 250, 251, 1025, 5000]), lambda: {}, lambda: []]
        if depth < 3:
            kinds += [lambda: [self.hostile(depth + 1) for _ in range(self.random.choice([1, 2, 101]))],
                      lambda: {self.random.choice(TEXTS): self.hostile(depth + 1)}]
        return self.random.choice(kinds)()

    def broken_text(self, value):
        """JSON of the value with something wrong in it."""
        text = json.dumps(value, ensure_ascii=self.chance(0.5)).encode("utf-8", "surrogatepass")
        at = self.random.randint(0, len(text))
        return self.one(
            lambda: text[:at], lambda: text + b"x", lambda: b"", lambda: b"null", lambda: b"[" + text + b"]",
            lambda: b"[" * 3000, lambda: b'{"a":' * 3000 + b"1" + b"}" * 3000, lambda: text[:at] + b"\x00" + text[at:],
            lambda: text[:at] + b"\xff\xfe" + text[at:], lambda: text[:at] + b"\\u0000" + text[at:], lambda: b"\xef\xbb\xbf" + text,
            lambda: text[:-1] + (b',"names":["twice.internal.test"],"names":[]}' if text.endswith(b"}") else b"}"),
            lambda: b'{"expires_in":' + self.random.choice(RAW_NUMBERS).encode() + b"}", lambda: text.decode("utf-8", "replace").encode("utf-16"),
            lambda: b" " * self.one(60000, 65536, 65537) + text, lambda: b'{"names":["' + b"a" * LONG + b'"]}', lambda: bytes(self.random.randbytes(200)))()

    def body(self, schema):
        value = self.good(schema)
        if self.chance(0.35):
            return json.dumps(value).encode()
        for _ in range(self.random.randint(1, 3)):
            key = self.random.choice(list(schema["properties"]) + self.one(["more"], list(value) or ["more"]))
            if key == "names" and self.chance(0.5):
                value["names"] = [self.random.choice(TEXTS) if self.chance(0.5) else self.name(i) for i in range(self.one(0, 1, 2, 100, 101))]
            elif self.chance(0.3):
                value.pop(key, None)
            else:
                value[key] = self.hostile()
        if self.chance(0.4):
            return self.broken_text(value)
        return json.dumps(value).encode("utf-8", "surrogatepass")

    # --- the whole

    def path(self, template):
        if "{id}" not in template:
            return template
        quoted = urllib.parse.quote(self.random.choice(TEXTS).encode("utf-8", "surrogatepass"), safe="")
        known = self.ids()
        return template.replace("{id}", self.one(
            lambda: self.random.choice(known), lambda: self.random.choice(known), lambda: self.random.choice(known), lambda: quoted or "x",
            lambda: "".join(f"%{ord(c):02x}" for c in self.random.choice(known)), lambda: "a" * self.one(64, 65, 2100),
            lambda: self.one("%ff%fe", "%", "%zz", "%2f", "..", ".", "%00", "a%2fb", "fleet", "nobody"))())

    def query(self, parameters):
        pairs = []
        for p in parameters:
            if p["in"] == "query" and self.chance(0.5):
                good = self.chance(0.6)
                pairs.append((p["name"], str(self.good(p["schema"])) if good and "pattern" not in p["schema"] else self.random.choice(QUERY_VALUES)))
        if self.chance(0.05):
            pairs.append(self.one(("more", "1"), ("", ""), ("limit", "1"), pairs[0] if pairs else ("a", "b")))
        text = "&".join(f"{k}={urllib.parse.quote(v.encode('utf-8', 'surrogatepass'), safe=',' if self.chance(0.5) else '')}" for k, v in pairs)
        return "?" + text if text or self.chance(0.03) else ""

    def headers(self, method, operation, parameters):
        who = self.random.choice([*self.tokens] * 3 + ["nobody", "stranger", "cookie"])
        token = self.tokens.get(who)
        headers = [("Host", f"127.0.0.1:{self.port}")]
        if token:
            headers.append(("Authorization", f"Bearer {token}"))
        elif who == "stranger":
            headers.append(("Authorization", self.one("Bearer cf_wrong", "Bearer", "Basic YTpi", "Bearer " + "x" * 3000, "bearer  é")))
        elif who == "cookie":
            headers.append(("Cookie", self.one("certfleet_session=x", "certfleet_link=" + "y" * 47, "certfleet_session=" + "z" * 200, ";=;", "a=b; certfleet_session=")))
        for p in parameters:
            if p["in"] == "header" and self.chance(0.25):
                value = self.one(str(self.good(p["schema"])), *[t for t in TEXTS if "\n" not in t and "\x00" not in t], '"1"', '"1-0"', "*", 'W/"1"', "key-1")
                headers.append((p["name"], value))
        if self.chance(0.07):
            headers.append(self.one(("Origin", "https://evil.test"), ("Origin", "null"), ("Origin", f"http://127.0.0.1:{self.port}"),
                                    ("Sec-Fetch-Site", "cross-site"), ("Accept", "text/html"), ("X-Forwarded-For", "8.8.8.8")))
        if self.chance(0.04):
            headers[0] = ("Host", self.one("evil.test", "", "localhost", "[::1]:80", "127.0.0.1:1:2", "[", "a" * 300, "127.0.0.1@evil.test"))
        if "requestBody" in operation or self.chance(0.1):
            headers.append(("Content-Type", JSON if self.chance(0.9) else self.random.choice(TYPES)))
        return headers, token

    def make(self):
        method, template, item, operation = self.random.choice(self.operations)
        parameters = self.contract.parameters(item, operation)
        headers, token = self.headers(method, operation, parameters)
        body = b""
        if "requestBody" in operation:
            schema = self.contract.resolve(operation["requestBody"]["content"][JSON]["schema"])
            body = self.body(schema) if self.chance(0.95) else b""
        elif self.chance(0.05):
            body = self.broken_text({"a": 1})
        if method == "GET" and self.chance(0.05):
            method = "HEAD"
        if self.chance(0.04):
            method = self.random.choice(METHODS)
        request = Request(method, self.path(template) + self.query(parameters), headers, body, token)
        if self.chance(0.08):
            self.bend(request)
        return request

    def bend(self, request):
        """What is wrong below the API: the server may answer as it likes, but must live."""
        request.head = False
        self.one(
            lambda: setattr(request, "cut", self.random.randint(1, 10 ** 6)),
            lambda: (setattr(request, "chunked", True), setattr(request, "head", request.method not in ("GET", "HEAD"))),
            lambda: request.headers.append(("X-Long", "x" * self.one(15000, 17000, 40000))),
            lambda: request.headers.extend(("X-Many", str(i)) for i in range(400)),
            lambda: request.headers.append(("Content-Length", self.one("-1", "5", "99999999999999999999", "x", "0"))),
            lambda: request.headers.append(("Bad Name\x01", "1")),
            lambda: request.headers.append(("Expect", "100-continue")),
            lambda: setattr(request, "target", self.one("*", "http://evil.test/v1/endpoints", "//v1//endpoints", "/v1/" + "a/" * 2000, "/v1/endpoints?" + "a=b&" * 3000, "/v1/\x01", "v1")),
            lambda: setattr(request, "body", request.body + b"GET / HTTP/1.1\r\n\r\n"))()
