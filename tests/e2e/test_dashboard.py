"""The dashboard in a real Chromium: a domain gets its certificate from the screen alone, and what breaks is said there.

Every page must keep the console free of errors, break no Content-Security-Policy, ask no other host, and give axe-core
nothing to find, in light and in dark.
"""
import json
import os

import pytest
from conftest import running_stack
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from servers import wait_until

AXE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor", "axe-core", "axe.min.js")
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--window-size=1280,1000"]


@pytest.fixture(scope="module")
def stack():
    yield from running_stack(sync=False, workers=1)


class Screen:
    """A browser that looks at the scheduler, as a person does: by what is written there."""

    def __init__(self, stack, patience, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in [*ARGUMENTS, f"--user-data-dir={folder}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.base = f"http://127.0.0.1:{stack.schedulers[0].port}"
        self.patience = patience

    def open(self, path):
        self.driver.get(self.base + path)
        return self

    def text(self):
        return self.driver.find_element(By.ID, "main").text

    def sees(self, *texts, seconds=30):
        """Without a reload: the page must come to it by itself."""
        self.driver.execute_script("window.notReloaded = true")
        try:
            wait_until(f"the page to say {texts}", lambda: all(t in self.text() for t in texts), seconds * self.patience, 0.1)
        except Exception as e:
            raise AssertionError(f"{e}; it says:\n{self.text()}") from None
        assert self.driver.execute_script("return window.notReloaded")

    def click(self, text, tag="*"):
        path = f"//main//{tag}[self::a or self::button][normalize-space()='{text}']"
        wait_until(f"{text} to click", lambda: self.driver.find_elements(By.XPATH, path), 20 * self.patience)[0].click()

    def fill(self, name, value):
        element = self.driver.find_element(By.NAME, name)
        element.clear()
        element.send_keys(value)

    def records(self):
        """[(type, name, value, status)] of the table, as shown."""
        return [tuple(row) for row in self.driver.execute_script(
            "return [...document.querySelectorAll('[aria-labelledby=records] tbody tr')].map((row) => "
            "[...row.cells].map((cell) => (cell.querySelector('code, .state') || cell).innerText))")]

    def emulate(self, dark=False, width=1280):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})

    def complaints(self):
        """What the console says, and requests to anybody else."""
        found = [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(self.base + "/") and not url.startswith(("data:", "chrome:", "devtools:", "about:")):
                    found.append(f"a request to {url}")
        return found

    def axe(self):
        """What keeps people out, by axe-core, which is put in behind the page's back (its policy allows no script)."""
        with open(AXE, encoding="utf-8") as f:
            self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": f.read()})
        answer = self.driver.execute_cdp_cmd("Runtime.evaluate", {
            "expression": "axe.run(document).then((r) => JSON.stringify(r.violations.map((v) => "
                          "[v.id, v.help, v.nodes.map((n) => n.html)])))", "awaitPromise": True})
        return json.loads(answer["result"]["value"])


@pytest.fixture(scope="module")
def screen(stack, patience, tmp_path_factory):
    s = Screen(stack, patience, tmp_path_factory.mktemp("chromium"))
    yield s
    s.driver.quit()


def test_a_certificate_from_the_screen_alone(stack, screen):
    screen.open("/")
    screen.sees("Nothing here yet")
    screen.click("Add the first endpoint")
    screen.sees("Who can reach them?")
    screen.fill("names", "shop.example.test")
    screen.fill("target", "ingress.platform.test")
    screen.click("Add it", "button")
    screen.sees("Create these 2 records", "waiting for DNS")
    records = screen.records()
    assert [r[:2] for r in records] == [("CNAME", "shop.example.test"), ("CNAME", "_acme-challenge.shop.example.test")]
    assert records[0][2] == "ingress.platform.test" and records[1][2].endswith(".acme.platform.test")
    assert {r[3] for r in records} == {"missing"}
    stack.knot.add(*[(name, kind, value + ".") for kind, name, value, _ in records])
    screen.click("Check now")
    # Green by itself, and the certificate is there.
    screen.sees("DNS is right", "Valid until", "issued", seconds=60)
    assert {r[3] for r in screen.records()} == {"right"}
    assert stack.pebble.serials()


def test_what_breaks_is_said_with_its_fix(stack, screen):
    """The CNAME that the next renewal needs points elsewhere: the page and the alert say so."""
    screen.open("/endpoints/shop.example.test")
    screen.sees("DNS is right")
    name, kind, value = stack.challenge_cname("shop.example.test")
    stack.knot.remove((name, kind, value))
    stack.knot.remove(("shop.example.test", "CNAME", "ingress.platform.test."))
    stack.knot.add((name, kind, "elsewhere.example.test."))
    screen.click("Check now")
    screen.sees("wrong", "Found instead: elsewhere.example.test", seconds=60)
    screen.open("/alerts")
    screen.sees("_acme-challenge.shop.example.test", value.rstrip("."), "Who must act: owner", seconds=60)
    stack.knot.remove((name, kind, "elsewhere.example.test."))
    stack.knot.add((name, kind, value), ("shop.example.test", "CNAME", "ingress.platform.test."))


def test_an_internal_endpoint_shows_one_record(screen):
    screen.open("/add")
    screen.sees("Who can reach them?")
    screen.fill("names", "wiki.internal.test")
    screen.driver.find_element(By.CSS_SELECTOR, "input[value=internal]").click()
    assert not screen.driver.find_element(By.NAME, "target").is_displayed()
    screen.click("Add it", "button")
    screen.sees("Create this record")
    assert [r[1] for r in screen.records()] == ["_acme-challenge.wiki.internal.test"]


def test_wrong_input_is_said_where_it_was_typed(screen):
    screen.open("/add")
    screen.sees("Who can reach them?")
    screen.fill("names", "not a domain!")
    screen.click("Add it", "button")
    screen.sees("a name with at least two labels is expected")
    assert screen.driver.current_url.endswith("/add")
    # A page that is not there, and an endpoint that is not there. Their 404s are no errors of ours.
    screen.open("/endpoints/nobody")
    screen.sees("There is nothing here")
    screen.complaints()


def test_search_as_you_type(screen):
    screen.open("/endpoints")
    screen.sees("2 fit")
    screen.fill("q", "wiki")
    screen.sees("1 fit", "wiki.internal.test")
    assert "q=wiki" in screen.driver.current_url
    screen.fill("q", "zzz")
    screen.sees("None.")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path, there", [
    ("/", "Trouble first"), ("/endpoints", "fit"), ("/endpoints/shop.example.test", "What has happened"),
    ("/endpoints/wiki.internal.test", "Create this record"), ("/add", "Add it"), ("/alerts", "Open alerts"),
    ("/workers", "Parked jobs")])
def test_pages_are_for_everybody(screen, path, there, dark):
    screen.emulate(dark=dark)
    screen.open(path)
    screen.sees(there)
    assert screen.axe() == []
    # On a telephone nothing is wider than the screen.
    screen.emulate(dark=dark, width=360)
    wide = screen.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{wide} pixels too wide"
    screen.emulate(dark=dark)
    assert screen.complaints() == []


def test_the_keyboard_reaches_everything(screen):
    """Tab goes through the page's controls in order, and each shows that it has the focus."""
    screen.open("/endpoints/shop.example.test")
    screen.sees("What has happened")
    seen = screen.driver.execute_script(
        "return [...document.querySelectorAll('a[href], button, input, select, textarea')]"
        ".filter((e) => e.offsetParent && e.tabIndex < 0).map((e) => e.outerHTML)")
    assert seen == []
    assert screen.driver.execute_script("return document.querySelectorAll('[tabindex]:not([tabindex=\"-1\"])').length") == 0
