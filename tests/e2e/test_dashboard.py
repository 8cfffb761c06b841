"""The dashboard in a real Chromium: a domain gets its certificate from the screen alone, and what breaks is said there.

Every page must keep the console free of errors, break no Content-Security-Policy, ask no other host, give axe-core
nothing to find in light and in dark, and need no sideways scrolling on a telephone or magnified four times.
"""
import hashlib
import http.client
import json
import urllib.parse

import msgpack
import pytest
import redis
from conftest import running_stack
from screen import Screen
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from servers import LOOPBACK, wait_until

TOKENS = {"ops": ("write", "-"), "viewer": ("read", "-")}
SHOP = "shop.example.test"
CHALLENGE = f"_acme-challenge.{SHOP}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    path = tmp_path_factory.mktemp("dashboard") / "tokens"
    path.write_text("".join(f"{name} {scope} {tenant} {hashlib.sha256(f'cf_{name}'.encode()).hexdigest()}\n"
                            for name, (scope, tenant) in TOKENS.items()))
    path.chmod(0o600)
    yield from running_stack(sync=False, workers=1, schedulers=1, config={"scheduler": {"tokens_file": str(path)}})


@pytest.fixture(scope="module")
def base(stack):
    return f"http://{LOOPBACK}:{stack.schedulers[0].port}"


@pytest.fixture(scope="module")
def screen(base, patience, tmp_path_factory):
    s = Screen(base, patience, tmp_path_factory.mktemp("chromium"))
    yield s
    s.driver.quit()


@pytest.fixture(scope="module")
def other_browser(base, patience, tmp_path_factory):
    s = Screen(base, patience, tmp_path_factory.mktemp("other"))
    yield s
    s.driver.quit()


@pytest.fixture
def customer(other_browser):
    """Another browser, of somebody who has never been here."""
    other_browser.driver.get("about:blank")
    other_browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    other_browser.emulate()
    other_browser.complaints()
    return other_browser


def api(base, method, path, body=None):
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=20)
    connection.request(method, path, body=json.dumps(body) if body is not None else None,
                       headers={"Authorization": "Bearer cf_ops", "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status < 300, (answer.status, text)
    return json.loads(text)


# --- the main path

def test_logging_in(screen):
    screen.open("/").sees("Whoever runs this fleet gives one out")
    assert screen.focus()[2] == "token", "one can type at once"
    for dark in (False, True):
        screen.emulate(dark=dark)
        assert screen.axe() == []
    screen.fill("token", "cf_wrong")
    screen.click("Log in", "button")
    screen.sees("This token is not known here")
    screen.complaints()  # a browser's console mentions each 401
    screen.log_in("cf_ops")
    assert screen.complaints(but=["/v1/session - Failed to load resource: the server responded with a status of 401"]) == []


def test_a_certificate_from_the_screen_alone(stack, screen):
    screen.open("/")
    screen.sees("Nothing here yet")
    screen.click("Add the first endpoint")
    screen.sees("Who can reach them?")
    screen.fill("names", SHOP)
    screen.fill("target", "ingress.platform.test")
    screen.click("Add it", "button")
    screen.sees("Create these 2 records", "waiting for DNS", "0 of 2 records right")
    records = screen.records()
    assert [r[:2] for r in records] == [("CNAME", SHOP), ("CNAME", CHALLENGE)]
    assert records[0][2] == "ingress.platform.test" and records[1][2].endswith(".acme.platform.test")
    wait_until("both to be looked at", lambda: {r[3] for r in screen.records()} == {"missing"}, 30 * screen.patience)
    # What can be copied is what is shown: each part, and all of it as lines of a zone file.
    screen.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    screen.click("As lines of a zone file (BIND)")
    screen.click("Copy all the zone-file lines")
    screen.hears("Copied the zone-file lines")
    assert screen.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == "".join(
        f"{name}. 300 IN CNAME {value}.\n" for _, name, value, _ in records)
    stack.knot.add(*[(name, kind, value + ".") for kind, name, value, _ in records])
    screen.click("Check now")
    # Green by itself, announced, and the certificate is there.
    screen.sees("DNS is right", "Valid until", "Issued", seconds=60)
    screen.hears(f"{SHOP} is now: active")
    assert {r[3] for r in screen.records()} == {"right"}
    assert screen.driver.execute_script("return document.querySelector('details.zone').open"), "what was unfolded stays so"
    assert stack.pebble.serials()
    assert screen.complaints() == []


def test_the_same_by_keyboard_alone(screen):
    """An internal endpoint, which has one record: each control is reached by Tab and shows that it has the focus."""
    screen.open("/")
    screen.sees("endpoints")
    assert screen.tab_to("Add an endpoint")[0] == "Skip to the content"
    screen.press(Keys.ENTER)
    screen.sees("Who can reach them?")
    assert screen.focus()[2] == "names"
    screen.press("wiki.internal.test")
    screen.tab_to("type")
    screen.press(Keys.ARROW_DOWN)
    assert not screen.driver.find_element(By.NAME, "target").is_displayed()
    screen.tab_to("Add it")
    screen.press(Keys.ENTER)
    screen.sees("Create this record", "not reachable from the internet")
    assert [r[1] for r in screen.records()] == ["_acme-challenge.wiki.internal.test"]
    # What is drawn anew while one looks leaves the focus where it is.
    screen.tab_to("Check now")
    screen.press(Keys.ENTER)
    screen.hears("DNS is being looked at now")
    screen.sees("missing")
    assert screen.focus()[1] == "Check now"
    screen.tab_to("Copy the name _acme-challenge.wiki.internal.test")
    screen.press(Keys.ENTER)
    screen.hears("Copied the name")
    # A dialog takes the focus, Escape closes it, and the focus is where it was.
    screen.tab_to("Send to whoever runs your DNS …")
    screen.press(Keys.ENTER)
    screen.sees("It can change nothing")
    assert screen.driver.execute_script("return document.querySelector('dialog').contains(document.activeElement)")
    for dark in (False, True):
        screen.emulate(dark=dark)
        assert screen.axe() == []
    screen.press(Keys.ESCAPE)
    wait_until("the dialog to close", lambda: not screen.driver.find_elements(By.TAG_NAME, "dialog"), 10 * screen.patience)
    assert screen.focus()[1] == "Send to whoever runs your DNS …"
    unreached = screen.driver.execute_script(
        "return [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]"
        ".filter((e) => e.offsetParent && e.tabIndex < 0).map((e) => e.outerHTML)")
    assert unreached == []
    assert screen.driver.execute_script("return document.querySelectorAll('[tabindex]:not([tabindex=\"-1\"])').length") == 0


def test_what_breaks_is_said_with_its_fix(stack, screen):
    """The CNAME that the next renewal needs points elsewhere: the page, the overview and the alert say so."""
    screen.open(f"/endpoints/{SHOP}")
    screen.sees("DNS is right")
    name, kind, value = stack.challenge_cname(SHOP)
    stack.knot.remove((name, kind, value), (SHOP, "CNAME", "ingress.platform.test."))
    stack.knot.add((name, kind, "elsewhere.example.test."))
    screen.click("Check now")
    screen.sees("wrong", "Expected", "Found", "CNAME elsewhere.example.test", "What to do", f"Change it to: {name} CNAME {value[:-1]}",
                seconds=60)
    screen.open("/")
    screen.sees("Needs somebody", "Who must act", "By when", SHOP, "the domain’s owner", seconds=60)
    screen.open("/alerts")
    item = wait_until("its alert", lambda: screen.driver.find_elements(
        By.XPATH, f"//article[.//a[.='{SHOP}'] and contains(., '{CHALLENGE} CNAME')]"), 60 * screen.patience)[0]
    assert "Who must act\nthe domain’s owner" in item.text and "By when" in item.text
    item.find_element(By.CSS_SELECTOR, "h3 a").click()
    screen.sees(name, value.rstrip("."), "elsewhere.example.test", "What to do", "Open since")
    assert "/alerts?key=" in screen.driver.current_url


def test_an_alert_is_silenced_and_heard_again(screen):
    """From the page of the alert that the test before this one opened."""
    alert = screen.driver.current_url.removeprefix(screen.base)
    screen.click("Silence …")
    screen.sees("Nobody is told of it while it is silenced")
    assert screen.focus()[2] == "silence-reason"
    assert screen.axe() == []
    screen.press("its owner was called", Keys.ENTER)
    screen.sees("its owner was called, until", but=["Nobody is told"])
    screen.open("/alerts")
    screen.sees("Silenced (", "its owner was called")
    screen.click("Silences (1)")
    screen.sees("key shop.example.test/", "its owner was called", "ops")
    for dark in (False, True):
        screen.emulate(dark=dark)
        assert screen.axe() == []
    screen.click("End it")
    screen.sees("End the silence?")
    screen.driver.find_element(By.XPATH, "//dialog//button[.='End it']").click()
    screen.hears("The silence has ended")
    screen.sees("over")
    screen.open(alert)
    screen.sees("What to do", but=["its owner was called"])
    assert screen.complaints() == []


def test_it_is_right_again(stack, screen):
    name, kind, value = stack.challenge_cname(SHOP)
    stack.knot.remove((name, kind, "elsewhere.example.test."))
    stack.knot.add((name, kind, value), (SHOP, "CNAME", "ingress.platform.test."))
    screen.open(f"/endpoints/{SHOP}")
    screen.sees("Check now")
    screen.click("Check now")
    screen.sees("DNS is right", seconds=60)


# --- a customer

def answer_of(base, path):
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_a_customer_with_a_link(stack, base, screen, customer, patience):
    api(base, "POST", "/v1/endpoints", {"names": ["cust.internal.test"], "type": "internal", "id": "cust"})
    screen.open("/endpoints/cust")
    screen.click("Send to whoever runs your DNS …")
    screen.click("Make the link")
    screen.sees("it opens once", "/link#cf_")
    url = screen.driver.find_element(By.ID, "link-url").text
    mail = screen.driver.find_element(By.CSS_SELECTOR, "a[href^='mailto:']").get_attribute("href")
    assert url in urllib.parse.unquote(mail)
    screen.click("Close")
    # The secret leaves the address, and nobody is told where the page came from.
    customer.driver.get(url)
    customer.sees("You were sent this page to set up DNS for cust.internal.test", "Create this record")
    assert customer.driver.current_url == f"{base}/link"
    secret = url.partition("#")[2]
    assert not any(secret in m["params"]["request"]["url"] for m in customer.network() if m["method"] == "Network.requestWillBeSent")
    page = answer_of(base, "/link")
    assert page.getheader("Referrer-Policy") == "no-referrer" and "'none'" in page.getheader("Content-Security-Policy")
    data = answer_of(base, "/v1/endpoints/cust")
    assert data.getheader("Cache-Control") == "no-store" and data.getheader("Referrer-Policy") == "no-referrer"
    # Nothing on it writes, and nothing but this endpoint is to be seen.
    assert set(customer.buttons()) <= {"Copy", "Copy all"}
    assert not customer.driver.find_elements(By.CSS_SELECTOR, "#nav a, #main a[href^='/']")
    for dark, width in ((False, 1280), (True, 320)):
        customer.emulate(dark=dark, width=width)
        assert customer.axe() == [] and customer.too_wide() <= 0
    # It turns green by itself.
    [(_, name, value, _)] = customer.records()
    stack.knot.add((name, "CNAME", f"{value}."))
    api(base, "POST", "/v1/endpoints/cust/verify")
    customer.sees("All is done.", "Valid until", seconds=60)
    assert customer.axe() == []
    # Again on the same device; on another it is over, which says what to do.
    customer.driver.get("about:blank")
    customer.driver.get(url)
    customer.sees("All is done.")
    customer.open("/endpoints").sees("This is not for you")
    customer.complaints()
    customer.driver.delete_all_cookies()
    customer.driver.get("about:blank")
    customer.driver.get(url)
    customer.sees("This link does not open any more", "was opened already", "Ask whoever sent it to you for a new one")
    for dark, width in ((False, 1280), (True, 320)):
        customer.emulate(dark=dark, width=width)
        assert customer.axe() == [] and customer.too_wide() <= 0


def test_a_link_that_was_ended_or_is_over(base, screen, customer, stack):
    link = api(base, "POST", "/v1/endpoints/cust/links", {})
    customer.driver.get(base + link["path"])
    customer.sees("cust.internal.test")
    screen.open("/endpoints/cust")
    screen.click("Send to whoever runs your DNS …")
    screen.click("End all links of it")
    screen.hears("Ended: 2.")
    screen.click("Close")
    customer.driver.refresh()
    customer.sees("This link does not open any more", "Ask whoever sent it to you for a new one")
    # One whose time is over is forgotten by Redis.
    link = api(base, "POST", "/v1/endpoints/cust/links", {"expires_in": 60})
    db = redis.Redis(**stack.redis.client_args())
    db.delete(f"cf:{{demo}}:link:{hashlib.sha256(link['secret'].encode()).hexdigest()}")
    customer.driver.delete_all_cookies()
    customer.driver.get("about:blank")
    customer.driver.get(base + link["path"])
    customer.sees("This link does not open any more", "This link is over", "Ask whoever sent it to you for a new one")


# --- operators

def test_what_was_given_up_is_tried_again(stack, base, screen):
    """A job whose worker died of it three times, as reap.lua leaves it."""
    api(base, "POST", "/v1/endpoints", {"names": ["poison.internal.test"], "type": "internal", "id": "poison"})
    db = redis.Redis(**stack.redis.client_args())

    def parked():
        stack.wait_states("waiting_dns", ["poison"], 30 * screen.patience)
        r = msgpack.unpackb(db.hget("cf:{demo}:e:poison", "jv"), raw=False)
        if r[0] != 1:
            return False
        db.zrem(f"cf:{{demo}}:due:verify:{r[2]}:default", "poison")
        r[0], r[5], r[11] = 3, 3, "lapsed_thrice"
        db.hset("cf:{demo}:e:poison", "jv", msgpack.packb(r))
        db.zadd("cf:{demo}:parked:verify", {"poison": r[10]})
        return True
    wait_until("its job to be put where it is parked", parked, 30 * screen.patience)
    screen.open("/workers")
    screen.sees("Parked jobs (1)", "its worker was lost three times", "Looks at DNS and endpoints", "Workers (1 of 1 alive)", "worker1")
    screen.open("/endpoints/poison")
    screen.sees("certfleet gave this endpoint up")
    screen.open("/workers")
    screen.click("Try poison again")
    screen.hears("poison is tried again")
    screen.sees("Parked jobs (0)")


def test_who_may_only_read_is_offered_nothing_else(base, customer):
    customer.log_in("cf_viewer")
    for path, there in (("/", "Needs somebody"), (f"/endpoints/{SHOP}", "What has happened"), ("/alerts", "Alerts"), ("/workers", "Parked jobs")):
        if path != "/":
            customer.open(path)
            customer.sees(there)
        assert not {"Add an endpoint", "Check now", "Renew now", "Remove …", "Silence …", "Try again"} & set(customer.buttons()), path


def test_wrong_input_is_said_where_it_was_typed(screen):
    screen.open("/add")
    screen.sees("Who can reach them?")
    screen.click("Add it", "button")
    screen.sees("At least one is needed")
    assert screen.focus()[2] == "names"
    screen.fill("names", "not a domain!")
    screen.fill("target", "")
    screen.click("Add it", "button")
    screen.sees("host name is needed for an external endpoint")
    assert screen.focus()[2] == "target"
    screen.fill("target", "ingress.platform.test")
    screen.click("Add it", "button")
    screen.sees("a name with at least two labels is expected")
    assert screen.driver.current_url.endswith("/add")
    assert screen.axe() == []
    # A page that is not there, and an endpoint that is not there. Their 404s are no errors of ours.
    screen.open("/endpoints/nobody")
    screen.sees("There is nothing here")
    assert screen.axe() == []
    screen.complaints()


def test_search_as_you_type(screen):
    """What is typed in one go is asked once, and what was overtaken is not waited for."""
    screen.open("/endpoints")
    screen.sees("4 endpoints fit")
    screen.asked("/v1/endpoints?")
    screen.fill("q", "")
    screen.driver.find_element(By.NAME, "q").send_keys("wiki.internal")
    screen.sees("1 endpoint fits", "wiki.internal.test")
    asked = screen.asked("/v1/endpoints?")
    assert len(asked) <= 2 and "q=wiki.internal" in asked[-1], asked
    assert "q=wiki.internal" in screen.driver.current_url
    conditions = {"offline": False, "latency": 1500, "downloadThroughput": -1, "uploadThroughput": -1}
    screen.driver.execute_cdp_cmd("Network.enable", {})
    screen.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
    events = []
    try:
        screen.driver.find_element(By.NAME, "q").send_keys("x")
        wait_until("the first to be asked", lambda: events.extend(screen.network()) or any(
            "q=wiki.internalx&" in e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"), 10)
        screen.driver.find_element(By.NAME, "q").send_keys("y")
        wait_until("it to be given up", lambda: events.extend(screen.network()) or any(
            e["method"] == "Network.loadingFailed" and e["params"].get("canceled") for e in events), 10)
    finally:
        screen.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**conditions, "latency": 0})
    screen.sees("No endpoint fits.")
    screen.driver.execute_script("const s = document.getElementById('f-state'); s.value = 'active'; s.dispatchEvent(new Event('input'))")
    screen.fill("q", "")
    screen.sees("2 endpoints fit", SHOP)
    screen.open("/endpoints?reason=record_missing").sees("wiki.internal.test")


# --- every page is for everybody

@pytest.mark.parametrize("path, there", [
    ("/", "Certificates by life left"), ("/endpoints", "fit"), (f"/endpoints/{SHOP}", "What has happened"),
    ("/endpoints/wiki.internal.test", "Create this record"), ("/add", "Add it"), ("/alerts", "Alerts"), ("/silences", "Silences"),
    ("/workers", "Parked jobs")])
def test_pages_are_for_everybody(screen, path, there):
    """Light at a desk, dark on a telephone, which is also what a screen shows that is magnified four times."""
    screen.emulate()
    screen.open(path)
    for dark, width in ((False, 1280), (True, 320)):
        screen.emulate(dark=dark, width=width)
        screen.sees(there)
        assert screen.axe() == []
        assert screen.too_wide() <= 0, f"{screen.too_wide()} pixels too wide"
    screen.emulate()
    assert screen.complaints() == []


def test_nothing_moves_for_who_wants_it_still(screen):
    screen.emulate(still=True)
    screen.open("/endpoints/wiki.internal.test")
    screen.click("Check now")
    screen.hears("DNS is being looked at now")
    moving = screen.driver.execute_script(
        "return [...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e); "
        "return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0; }).map((e) => e.outerHTML)")
    assert moving == []
    screen.emulate()


def test_what_would_be_wrong_would_be_seen(screen):
    """The other tests' silence means something: a script that the policy forbids, and a control without a name, are told."""
    screen.open("/add")
    screen.sees("Who can reach them?")
    screen.driver.execute_script("const s = document.createElement('script'); s.textContent = '1'; document.body.append(s);"
                                 "document.querySelector('label[for=names]').remove()")
    assert "names" in str(screen.axe())
    assert any("Content Security Policy" in c for c in screen.complaints())
