"""The HTTP API: a domain is brought, watched and taken away by programs; and nobody else can."""
import pytest
from api_aid import Api, Listener, Tokens, problem
from conftest import running_stack
from servers import wait_until

TOKENS = {"ops": ("write", "-"), "viewer": ("read", "-"), "acme": ("write", "acme")}


@pytest.fixture(scope="module")
def tokens():
    return Tokens(TOKENS)


@pytest.fixture(scope="module")
def stack(tokens, tmp_path_factory):
    path = tokens.write(tmp_path_factory.mktemp("api") / "tokens")
    yield from running_stack(sync=False, workers=1, config={
        "scheduler": {"tokens_file": path, "hosts": ["dash.platform.test"]}})


@pytest.fixture
def ops(stack, tokens):
    return Api(stack, tokens["ops"])


def test_a_domain_comes_and_goes(stack, ops, tokens, patience):
    new = {"names": ["shop.internal.test"], "type": "internal", "id": "shop", "tenant": "acme"}
    status, done, headers = ops("POST", "/v1/endpoints", new)
    assert status == 201 and done["endpoint"] == "shop" and headers["Location"] == "/v1/endpoints/shop"
    status, shown, _ = ops("GET", "/v1/endpoints/shop")
    assert status == 200 and shown["names"] == ["shop.internal.test"] and shown["tenant"] == "acme"
    records = ops("GET", "/v1/endpoints/shop/records")[1]["records"]
    assert [r["owner"] for r in records] == ["_acme-challenge.shop.internal.test"]
    problem(ops("GET", "/v1/endpoints/shop/certificate"), 404, "no_certificate")
    stack.knot.add((records[0]["owner"], records[0]["type"], records[0]["target"] + "."))
    assert ops("POST", "/v1/endpoints/shop/verify")[0] == 200
    wait_until("the endpoint to be active",
               lambda: ops("GET", "/v1/endpoints/shop")[1]["state"] == "active", 60 * patience, 0.2)
    serial = ops("GET", "/v1/endpoints/shop/certificate")[1]["serial"]
    # Every scheduler shows it, the index too.
    for at in range(len(stack.schedulers)):
        api = Api(stack, tokens["viewer"], at)
        assert api("GET", "/v1/endpoints/shop")[1]["certificate"]["serial"] == serial
        wait_until("the index to have it", lambda a=api: [
            e["id"] for e in a("GET", "/v1/endpoints?state=active&q=SHOP.internal")[1]["endpoints"]] == ["shop"],
            10 * patience)
        status, counts, _ = api("GET", "/v1/status")
        assert status == 200 and counts["states"]["active"] >= 1 and counts["complete"]
    assert ops("POST", "/v1/endpoints/shop/renew")[0] == 200
    wait_until("another certificate", lambda: ops("GET", "/v1/endpoints/shop/certificate")[1]["serial"] != serial,
               60 * patience, 0.2)
    assert ops("PATCH", "/v1/endpoints/shop", {"names": ["shop.internal.test", "www.shop.internal.test"]})[0] == 200
    assert len(ops("GET", "/v1/endpoints/shop")[1]["names"]) == 2
    assert ops("DELETE", "/v1/endpoints/shop")[0] == 200
    wait_until("it to be gone", lambda: ops("GET", "/v1/endpoints/shop")[0] == 404, 60 * patience, 0.2)


def test_what_is_sent_twice_is_done_once(stack, ops, tokens):
    new = {"names": ["twice.internal.test"], "type": "internal"}
    first = ops("POST", "/v1/endpoints", new, Idempotency_Key="k-1")
    again = Api(stack, tokens["ops"], at=1)("POST", "/v1/endpoints", new, Idempotency_Key="k-1")
    assert first[0] == again[0] == 201 and first[1] == again[1]
    problem(ops("POST", "/v1/endpoints", new), 409, "exists")
    problem(ops("POST", "/v1/endpoints", new, Idempotency_Key=""), 400, "invalid")


def test_a_token_is_good_from_when_it_is_in_the_file_until_it_is_not(stack, patience):
    """No scheduler is started again for it; what a revoked token had open ends."""
    token = stack.cli_json("token", "new", "guest", "--scope", "read")["token"]
    for at in range(len(stack.schedulers)):
        api = Api(stack, token, at)
        wait_until("it to be known", lambda a=api: a("GET", "/v1/endpoints")[0] == 200, 20 * patience, 0.2)
    listener = Listener(stack, token)
    stack.cli("token", "revoke", "guest")
    for at in range(len(stack.schedulers)):
        api = Api(stack, token, at)
        wait_until("it to be unknown", lambda a=api: a("GET", "/v1/endpoints")[0] == 401, 20 * patience, 0.2)
    with pytest.raises(AssertionError, match="the stream ended"):
        listener.next(lambda kind, data: False)


def test_pages_etags_and_order(stack, ops, patience):
    ids = [f"page{i}" for i in range(7)]
    for i in ids:
        assert ops("POST", "/v1/endpoints", {"names": [f"{i}.internal.test"], "type": "internal", "id": i})[0] == 201
    wait_until("the index to have them", lambda: ops("GET", "/v1/endpoints?q=page")[1]["total"] == 7, 10 * patience)
    stack.wait_states("waiting_dns", ids, 30 * patience)
    for sort in ("id", "expiry", "trouble"):
        seen, after = [], ""
        while after is not None:
            status, page, _ = ops("GET", f"/v1/endpoints?q=page&limit=3&sort={sort}&after={after}")
            assert status == 200 and len(page["endpoints"]) <= 3 and page["total"] == 7
            seen += [e["id"] for e in page["endpoints"]]
            after = page["next"]
        assert seen == ids
    status, _, headers = ops("GET", "/v1/endpoints/page0/records")
    status, text, _ = ops("GET", "/v1/endpoints/page0/records", If_None_Match=headers["ETag"])
    assert status == 304 and text == ""


@pytest.mark.parametrize("method, path, body, status, code", [
    ("GET", "/v1/nothing", None, 404, "not_found"),
    ("GET", "/v1/endpoints/nobody", None, 404, "not_found"),
    ("PUT", "/v1/endpoints/nobody", {}, 405, "method_not_allowed"),
    ("DELETE", "/v1/endpoints/nobody", None, 404, "not_found"),
    ("GET", "/v1/endpoints?limit=0", None, 400, "invalid"),
    ("GET", "/v1/endpoints?limit=201", None, 400, "invalid"),
    ("GET", "/v1/endpoints?state=happy", None, 400, "invalid"),
    ("GET", "/v1/endpoints?sort=size", None, 400, "invalid"),
    ("GET", "/v1/endpoints?sort=expiry&after=x", None, 400, "invalid"),
    ("GET", "/v1/endpoints?q=" + "a" * 201, None, 400, "invalid"),
    ("POST", "/v1/endpoints", [1], 400, "no_object"),
    ("POST", "/v1/endpoints", {"names": []}, 422, "invalid"),
    ("POST", "/v1/endpoints", {"names": [1], "type": "internal"}, 422, "invalid"),
    ("POST", "/v1/endpoints", {"names": ["a.internal.test"], "type": "secret"}, 422, "invalid"),
    ("POST", "/v1/endpoints", {"names": ["a.internal.test"], "type": "external"}, 422, "invalid"),
    ("POST", "/v1/endpoints", {"name": "a.internal.test"}, 422, "invalid"),
    ("POST", "/v1/endpoints", {"names": ["not a name"], "type": "internal"}, 422, "invalid"),
    ("POST", "/v1/endpoints", None, 400, "no_body"),
    ("PATCH", "/v1/endpoints/x", {"tenant": "other"}, 422, "invalid"),
    ("POST", "/v1/endpoints/x/revoke", {"reason": 1}, 422, "invalid"),
    ("POST", "/v1/silences", None, 400, "no_body"),
    ("POST", "/v1/silences", {"pattern": "x", "reason": "r", "expires_in": 60, "for": 1}, 422, "invalid"),
    ("POST", "/v1/silences", {"pattern": "x", "reason": "r"}, 422, "invalid"),
    ("POST", "/v1/silences", {"pattern": "x", "reason": "r", "expires_in": 0}, 422, "invalid"),
    ("POST", "/v1/silences", {"pattern": "x", "reason": "a\nb", "expires_in": 60}, 422, "invalid"),
    ("POST", "/v1/silences", {"pattern": "", "reason": "r", "expires_in": 60}, 422, "invalid"),
    ("POST", "/v1/silences", {"pattern": "x" * 201, "reason": "r", "expires_in": 60}, 422, "invalid"),
    ("POST", "/v1/silences", {"pattern": "x", "field": "name", "reason": "r", "expires_in": 60}, 422, "invalid"),
    ("GET", "/v1/silences/none", None, 404, "not_found"),
    ("DELETE", "/v1/silences/" + "a" * 65, None, 404, "not_found"),
    ("POST", "/v1/endpoints/x/links", {"expires": 60}, 422, "invalid"),
])
def test_bad_input_is_told_apart(ops, method, path, body, status, code):
    problem(ops(method, path, body), status, code)


def test_bad_json_says_where(ops):
    document = problem(ops("POST", "/v1/endpoints", raw='{"names": [', Content_Type="application/json"), 400, "not_json")
    assert "line 1" in document["detail"]
    assert ops("POST", "/v1/endpoints", raw="x" * 70000, Content_Type="application/json")[0] == 413


def test_nobody_else_gets_in(stack, tokens):
    new = {"names": ["mine.internal.test"], "type": "internal", "id": "mine", "tenant": "acme"}
    acme, viewer, nobody = Api(stack, tokens["acme"]), Api(stack, tokens["viewer"]), Api(stack)
    assert acme("POST", "/v1/endpoints", new)[0] == 201
    other = {"names": ["theirs.internal.test"], "type": "internal", "id": "theirs", "tenant": "other"}
    assert Api(stack, tokens["ops"])("POST", "/v1/endpoints", other)[0] == 201
    problem(nobody("GET", "/v1/endpoints"), 401, "no_token")
    problem(Api(stack, "cf_wrong")("GET", "/v1/endpoints"), 401, "unknown_token")
    problem(viewer("DELETE", "/v1/endpoints/mine"), 403, "read_only")
    # Another tenant's endpoints are not there, whatever one does.
    problem(acme("GET", "/v1/endpoints/theirs"), 404, "not_found")
    problem(acme("DELETE", "/v1/endpoints/theirs"), 404, "not_found")
    problem(acme("POST", "/v1/endpoints", {**new, "id": "x", "tenant": "other"}), 403, "not_yours")
    page = acme("GET", "/v1/endpoints?tenant=other")[1]
    assert {e["tenant"] for e in page["endpoints"]} <= {"acme"}
    # DNS rebinding, and another site's page.
    problem(Api(stack, tokens["ops"], host="evil.test")("GET", "/v1/endpoints"), 421, "foreign_host")
    assert Api(stack, tokens["ops"], host="dash.platform.test")("GET", "/v1/session")[0] == 200
    problem(acme("POST", "/v1/endpoints/mine/verify", Origin="https://evil.test"), 403, "foreign_site")
    problem(acme("POST", "/v1/endpoints", raw="a=1", Content_Type="application/x-www-form-urlencoded"), 415, "not_json")


def test_a_browser_logs_in_and_out(stack, tokens):
    browser = Api(stack)
    origin = {"Origin": f"http://127.0.0.1:{browser.port}"}
    problem(browser("POST", "/v1/session", {"token": "cf_wrong"}, **origin), 401, "unknown_token")
    status, who, headers = browser("POST", "/v1/session", {"token": tokens["acme"]}, **origin)
    cookie = headers["Set-Cookie"]
    assert status == 200 and who["tenant"] == "acme" and who["scope"] == "write"
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    sent = {"Cookie": cookie.split(";")[0]}
    # Whichever scheduler is asked.
    assert Api(stack, at=1)("GET", "/v1/session", **sent)[1]["name"] == "acme"
    problem(browser("POST", "/v1/endpoints/mine/verify", **sent), 403, "foreign_site")
    problem(browser("POST", "/v1/endpoints/mine/verify", Origin="https://evil.test", **sent), 403, "foreign_site")
    assert browser("POST", "/v1/endpoints/mine/verify", **sent, **origin)[0] == 200
    assert browser("DELETE", "/v1/session", **sent, **origin)[0] == 200
    problem(browser("GET", "/v1/session", **sent), 401, "session_over")


def test_a_customer_gets_a_link_to_one_page(stack, ops, tokens):
    for name in ("linked", "other"):
        assert ops("POST", "/v1/endpoints", {"names": [f"{name}.internal.test"], "type": "internal", "id": name,
                                             "tenant": "acme"})[0] == 201
    problem(Api(stack, tokens["viewer"])("POST", "/v1/endpoints/linked/links", {}), 403, "read_only")
    problem(ops("POST", "/v1/endpoints/nobody/links", {}), 404, "not_found")
    problem(ops("POST", "/v1/endpoints/linked/links", {"expires_in": 1}), 422, "invalid")
    status, link, _ = ops("POST", "/v1/endpoints/linked/links", {"expires_in": 600})
    assert status == 201 and link["path"] == "/link#" + link["secret"]
    customer = Api(stack, at=1)
    origin = {"Origin": f"http://127.0.0.1:{customer.port}"}
    status, shown, headers = customer("POST", "/v1/links/exchange", {"secret": link["secret"]}, **origin)
    assert status == 200 and shown == {"endpoint": "linked"} and "HttpOnly" in headers["Set-Cookie"]
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    # The secret works once; the cookie shows this endpoint and nothing else, and changes nothing.
    problem(customer("POST", "/v1/links/exchange", {"secret": link["secret"]}, **origin), 410, "link_over")
    problem(customer("POST", "/v1/links/exchange", {"secret": "cf_made-up"}, **origin), 410, "link_over")
    assert customer("GET", "/v1/endpoints/linked/records", **cookie)[0] == 200
    problem(customer("GET", "/v1/endpoints/other", **cookie), 404, "not_found")
    problem(customer("GET", "/v1/endpoints", **cookie), 403, "not_yours")
    problem(customer("GET", "/v1/workers", **cookie), 403, "not_yours")
    problem(customer("POST", "/v1/endpoints/linked/verify", **cookie, **origin), 403, "read_only")
    assert ops("DELETE", "/v1/endpoints/linked/links")[1]["revoked"] == 1
    problem(customer("GET", "/v1/endpoints/linked", **cookie), 401, "link_over")


def test_a_silence_comes_and_goes(stack, ops, tokens):
    wish = {"field": "tenant", "pattern": "quiet*", "reason": "they move \u2192 elsewhere", "expires_in": 600}
    status, made, headers = ops("POST", "/v1/silences", wish)
    assert status == 201 and made["active"] and made["by"] == "ops" and made["open"] == 0
    assert headers["Location"] == "/v1/silences/" + made["id"]
    later = ops("POST", "/v1/silences", {"pattern": "*/expiry", "reason": "r", "expires_in": 900})[1]
    # Every scheduler shows it, the one that ends first before the others, and so does the command line.
    other = Api(stack, tokens["viewer"], at=1)
    shown = other("GET", "/v1/silences")[1]["silences"]
    assert [s["id"] for s in shown] == [made["id"], later["id"]]
    assert shown[0] == {k: v for k, v in made.items() if k != "open"} == other("GET", headers["Location"])[1]
    assert shown == sorted(stack.cli_json("alerts", "silences")["silences"], key=lambda s: s["until"])
    problem(other("POST", "/v1/silences", wish), 403, "read_only")
    problem(Api(stack, tokens["acme"])("GET", "/v1/silences"), 403, "not_yours")
    problem(Api(stack, tokens["acme"])("POST", "/v1/silences", wish), 403, "not_yours")
    problem(ops("DELETE", "/v1/silences/none"), 404, "not_found")
    assert ops("DELETE", headers["Location"])[1] == {"status": "done", "silence": made["id"]}
    # What is over stays until the leader has looked at it.
    status, ended, _ = ops("GET", headers["Location"])
    assert status == 404 or not ended["active"]
    assert ops("DELETE", "/v1/silences/" + later["id"])[0] == 200


def test_what_the_fleet_has(stack, ops, tokens, patience):
    workers = wait_until("the worker's sign", lambda: ops("GET", "/v1/workers")[1]["workers"], 20 * patience)
    assert workers[0]["alive"] and workers[0]["issue_slots"] == 200 and workers[0]["name"] == "worker1"
    status, answer, _ = ops("GET", "/v1/jobs")
    assert status == 200 and all(j["where"] in ("running", "parked") for j in answer["jobs"])
    assert ops("GET", "/v1/quotas")[1] == {"quotas": []}
    assert ops("GET", "/v1/alerts")[0] == 200
    problem(ops("GET", "/v1/alerts?limit=0"), 400, "invalid")
    problem(Api(stack, tokens["acme"])("GET", "/v1/workers"), 403, "not_yours")
    status, queues, _ = ops("GET", "/v1/queues")
    assert status == 200 and [q["queue"] for q in queues["queues"]] == ["verify", "issue"] and queues["workers"] == 1
    assert all(q["parked"] == 0 and q["late_ms"] >= 0 for q in queues["queues"])
    problem(Api(stack, tokens["acme"])("GET", "/v1/queues"), 403, "not_yours")
    problem(ops("POST", "/v1/endpoints/nobody/retry"), 404, "not_found")
    problem(Api(stack, tokens["viewer"])("POST", "/v1/endpoints/nobody/retry"), 403, "read_only")
    assert ops("GET", "/v1/alerts?key=nobody/record_missing")[1] == {"alerts": []}


def test_what_happens_is_heard_and_nothing_is_missed(stack, ops, tokens):
    def added(endpoint):
        return lambda kind, data: kind == "certfleet.endpoint.added" and data["subject"] == endpoint

    def add(endpoint, tenant="acme"):
        assert ops("POST", "/v1/endpoints", {"names": [f"{endpoint}.internal.test"], "type": "internal",
                                             "id": endpoint, "tenant": tenant})[0] == 201

    first = Listener(stack, tokens["ops"])
    acme = Listener(stack, tokens["acme"])
    add("heard-1")
    assert first.next(added("heard-1"))["data"]["tenant"] == "acme"
    first.close()
    for i in range(2, 5):
        add(f"heard-{i}")
    add("unheard", tenant="other")
    # Another scheduler goes on where the first one ended.
    later = Listener(stack, tokens["ops"], after=first.last, at=1)
    for i in range(2, 5):
        later.next(added(f"heard-{i}"))
    later.next(added("unheard"))
    # A tenant hears its own alone; changes are hinted at.
    seen = []
    add("heard-5")
    acme.next(lambda kind, data: seen.append(data.get("subject") or data.get("endpoint")) or added("heard-5")(kind, data))
    assert "heard-1" in seen and "unheard" not in seen
    later.next(lambda kind, data: kind == "changed" and data["endpoint"] == "heard-5")
    later.close()
    acme.close()
    problem(ops("GET", "/v1/events?after=never"), 400, "invalid")
