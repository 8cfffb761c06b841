"""Is what the API gives what its OpenAPI document says? Every request of the end-to-end tests is looked at."""
import json
import os
import re
import urllib.parse

import jsonschema
import yaml
from conftest import TOP

SOURCE = os.path.join(TOP, "scheduler", "api", "openapi.yaml")
EVERYWHERE = {404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge", 414: "TooLong"}


def load():
    """The document, as the build makes it."""
    with open(SOURCE, encoding="utf-8") as f:
        document = yaml.safe_load(f)
    del document["x-parts"]
    return document


def merged(parts):
    """One schema instead of an allOf of objects."""
    whole = {"type": "object", "properties": {}, "required": []}
    for part in parts:
        whole["properties"].update(part.get("properties", {}))
        whole["required"] = whole["required"] + part.get("required", [])
    return whole


class Contract:
    def __init__(self, document):
        self.document = document
        self.paths = [(re.compile(re.sub(r"\{\w+\}", "([^/]+)", t) + r"\Z"), t) for t in document["paths"]]
        self.validators = {}

    def resolve(self, node):
        """node with all references followed: no schema of ours has itself inside."""
        if isinstance(node, list):
            return [self.resolve(n) for n in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = self.document
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
            return self.resolve(node)
        return {k: self.resolve(v) for k, v in node.items()}

    def closed(self, schema):
        """A resolved schema that takes no member which it does not name."""
        if isinstance(schema, list):
            return [self.closed(s) for s in schema]
        if not isinstance(schema, dict):
            return schema
        if "allOf" in schema:
            schema = {**merged(schema["allOf"]), **{k: v for k, v in schema.items() if k != "allOf"}}
        schema = {k: self.closed(v) if k not in ("const", "enum", "examples", "example", "default") else v
                  for k, v in schema.items()}
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        return schema

    def errors(self, where, schema, value):
        """What is wrong with the value, in words."""
        key = json.dumps(where)
        if key not in self.validators:
            self.validators[key] = jsonschema.Draft202012Validator(self.closed(self.resolve(schema)))
        return [f"{'.'.join(str(p) for p in e.absolute_path) or 'the whole'}: {e.message[:300]}"
                for e in self.validators[key].iter_errors(value)]

    def schema_errors(self, name, value):
        return self.errors(["schema", name], {"$ref": f"#/components/schemas/{name}"}, value)

    def operation(self, method, path):
        """(template, path item, operation); each None if there is none. An id has at most 64 bytes once it is decoded."""
        path = urllib.parse.unquote(path, "latin-1")
        for regex, template in sorted(self.paths, key=lambda p: "{" in p[1]):
            if regex.match(path):
                item = self.document["paths"][template]
                return template, item, item.get("get" if method == "HEAD" else method.lower())
        return None, None, None

    # --- the answer

    def answer_errors(self, method, path, status, headers, body):
        """headers: a dict in lower case; body: bytes."""
        template, _, operation = self.operation(method, path)
        response = None
        if operation and str(status) in operation["responses"]:
            response = operation["responses"][str(status)]
        elif status in EVERYWHERE and (status != 404 or template is None or "{" in template) and (status != 405 or not operation):
            response = {"$ref": f"#/components/responses/{EVERYWHERE[status]}"}
        if response is None:
            return [f"{status} is not documented: {body[:200]!r}"]
        response = self.resolve(response)
        where = [template, method, status]
        return self.header_errors(where, response, headers) + \
            ([] if method == "HEAD" else self.body_errors(where, response, status, headers, body))

    def header_errors(self, where, response, headers):
        found = []
        for name, header in response.get("headers", {}).items():
            value = headers.get(name.lower())
            if value is None:
                found += [f"the header {name} is missing"] if header.get("required") else []
            else:
                found += [f"{name}: {e}" for e in self.errors(where + ["header", name], header["schema"], value)]
        return found

    def body_errors(self, where, response, status, headers, body):
        kind = headers.get("content-type", "").split(";")[0]
        if "content" not in response:
            return [f"a body where none is documented: {body[:200]!r}"] if body else []
        if kind not in response["content"]:
            return [f"the content type {kind!r} is not documented"]
        if kind == "text/event-stream":
            return []
        try:
            value = json.loads(body) if "json" in kind else body.decode()
        except ValueError as e:
            return [f"the body is no {kind}: {e}"]
        found = self.errors(where + [kind], response["content"][kind]["schema"], value)
        if kind == "application/problem+json" and isinstance(value, dict):
            if value.get("status") != status:
                found.append(f"the problem's status is {value.get('status')}")
            if value.get("type") != f"urn:certfleet:{value.get('title')}":
                found.append(f"type {value.get('type')!r}, but title {value.get('title')!r}")
        return found

    # --- the request: what was taken must be what is documented

    def parameters(self, item, operation):
        return self.resolve(item.get("parameters", []) + operation.get("parameters", []))

    def request_errors(self, method, target, headers, body):
        path, _, query = target.partition("?")
        template, item, operation = self.operation(method, path)
        if not operation:
            return ["no such operation"]
        found, known = [], {(p["in"], p["name"].lower()): p for p in self.parameters(item, operation)}
        given = [(("query", k), v) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True)]
        given += [(("header", k), v.strip(" \t")) for k, v in headers.items() if ("header", k) in known]
        for key, value in given:
            if key not in known:
                found.append(f"the parameter {key[1]} is not documented")
                continue
            schema = known[key]["schema"]
            if schema.get("type") == "integer" and re.fullmatch(r"[0-9]+", value):
                value = int(value)
            found += [f"{key[1]}: {e}" for e in self.errors([template, method, "parameter", *key], schema, value)]
        return found + self.request_body_errors(template, method, operation, body)

    def request_body_errors(self, template, method, operation, body):
        wanted = operation.get("requestBody")
        if not body or body.strip() == b"{}" and not wanted:
            return ["the body is missing"] if wanted and wanted.get("required") else []
        if not wanted:
            return ["a body where none is documented"]
        return self.errors([template, method, "body"], wanted["content"]["application/json"]["schema"], json.loads(body))

    def check(self, method, target, sent_headers, sent_body, status, headers, body):
        """All that is wrong with an exchange, as a list of sentences."""
        found = self.answer_errors(method, target.partition("?")[0], status, headers, body)
        if 200 <= status < 300:
            found += [f"it was taken, but {e}" for e in self.request_errors(method, target, sent_headers, sent_body)]
        return found


CONTRACT = Contract(load())


def check(method, target, sent_headers, sent_body, status, headers, body):
    """An assertion for the tests' own client. Headers are dicts; bodies are bytes or None."""
    lower = [{k.lower(): v for k, v in h.items()} for h in (sent_headers, headers)]
    found = CONTRACT.check(method, target, lower[0], sent_body or b"", status, lower[1], body)
    assert not found, f"{method} {target}: {status}\n" + "\n".join(found)
