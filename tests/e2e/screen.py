"""A real Chromium that looks at the dashboard, as a person does: by what is written there, with mouse or keyboard."""
import json
import os

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from servers import wait_until

AXE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor", "axe-core", "axe.min.js")
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--window-size=1280,1000"]
FOCUS = ("const e = document.activeElement, s = getComputedStyle(e);"
         "return [e.tagName, (e.getAttribute('aria-label') || e.innerText || '').trim(), e.name || '', "
         "e.matches(':focus-visible') && parseFloat(s.outlineWidth) >= 2 && s.outlineStyle != 'none']")


class Screen:
    def __init__(self, base, patience, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in [*ARGUMENTS, f"--user-data-dir={folder}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.base = base
        self.patience = patience
        self.traffic = []  # of the network, as far as it was looked at

    def open(self, path):
        self.driver.get(self.base + path)
        return self

    def text(self):
        return self.driver.execute_script(
            "return [...document.querySelectorAll('#main, dialog[open]')].map((e) => e.innerText).join('\\n')")

    def sees(self, *texts, seconds=30, but=()):
        """Without a reload: the page must come to it by itself."""
        self.driver.execute_script("window.notReloaded = true")

        def there():
            text = self.text()
            return all(t in text for t in texts) and not any(t in text for t in but)
        try:
            wait_until(f"the page to say {texts}", there, seconds * self.patience, 0.1)
        except Exception as e:
            raise AssertionError(f"{e}; it says:\n{self.text()}") from None
        assert self.driver.execute_script("return window.notReloaded")

    def hears(self, text):
        """What a screen reader is told, in its live regions."""
        wait_until(f"{text} to be announced", lambda: text in self.driver.execute_script(
            "return [...document.querySelectorAll('[role=status], [role=alert]')].filter((e) => e.checkVisibility())"
            ".map((e) => e.innerText).join('\\n')"), 20 * self.patience)

    def buttons(self):
        return self.driver.execute_script("return [...document.querySelectorAll('#main button, #main a.button')]"
                                          ".filter((e) => e.checkVisibility()).map((e) => e.innerText)")

    def click(self, text, tag="*"):
        """What is written on it, or, of several alike, how it is called for who cannot see which is meant."""
        path = (f"//*[@id='main' or self::dialog or @id='nav']//{tag}[self::a or self::button or self::summary]"
                f"[normalize-space()='{text}' or @aria-label='{text}']")

        def clicked():
            for element in self.driver.find_elements(By.XPATH, path):
                element.click()
                return True
            return False
        wait_until(f"{text} to click", clicked, 20 * self.patience)

    def fill(self, name, value):
        element = self.driver.find_element(By.NAME, name)
        element.clear()
        element.send_keys(value)

    def log_in(self, token):
        self.open("/").sees("Whoever runs this fleet gives one out")
        self.fill("token", token)
        self.click("Log in", "button")
        self.sees("Fleet demo")

    # --- by keyboard alone

    def press(self, *keys):
        """Where the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focus(self):
        """(tag, what it is called, its name, whether it can be seen to have the focus)."""
        return tuple(self.driver.execute_script(FOCUS))

    def tab_to(self, what, most=40):
        """Tabs until the control of this text or name has the focus, and each on the way shows that it has it."""
        passed = []
        for _ in range(most):
            self.press(Keys.TAB)
            tag, text, name, visible = self.focus()
            if tag == "BODY":
                continue
            assert visible, f"{tag} {text or name} does not show that it has the focus"
            passed.append(text or name)
            if what in (text, name):
                return passed
        raise AssertionError(f"{what} is not reached by Tab, but {passed}")

    # --- what it looks like

    def records(self):
        """[(type, name, value, status)] of the table, as shown."""
        return [tuple(row) for row in self.driver.execute_script(
            "return [...document.querySelectorAll('tr.record')].map((row) => "
            "[...row.cells].map((cell) => (cell.querySelector('code, .state') || cell).innerText))")]

    def emulate(self, dark=False, width=1280, still=False):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}]})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})

    def too_wide(self):
        return self.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")

    # --- what goes on below

    def network(self):
        """The events of the network since it was asked last."""
        fresh = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        self.traffic += fresh
        return fresh

    def asked(self, part):
        """URLs with this part that were asked for since the network was looked at last."""
        return [m["params"]["request"]["url"] for m in self.network()
                if m["method"] == "Network.requestWillBeSent" and part in m["params"]["request"]["url"]]

    def complaints(self, but=()):
        """What the console says, but for what a page is meant to run into, and requests to anybody else."""
        found = [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
        found = [m for m in found if not any(b in m for b in but)]
        self.network()
        for message in self.traffic:
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(self.base + "/") and not url.startswith(("data:", "chrome:", "devtools:", "about:")):
                    found.append(f"a request to {url}")
        self.traffic = []
        return found

    def axe(self):
        """What keeps people out, by axe-core, which is put in behind the page's back (its policy allows no script)."""
        if not self.driver.execute_script("return Boolean(window.axe)"):
            with open(AXE, encoding="utf-8") as f:
                self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": f.read()})
        answer = self.driver.execute_cdp_cmd("Runtime.evaluate", {
            "expression": "axe.run(document).then((r) => JSON.stringify([r.passes.length, r.violations.map((v) => "
                          "[v.id, v.help, v.nodes.map((n) => n.html)])]))", "awaitPromise": True})
        passes, violations = json.loads(answer["result"]["value"])
        assert passes > 10, "axe looked at nothing"
        return violations
