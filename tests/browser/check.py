"""Looks at the shop's pages with Chromium, as people do. Called by tests/browser/run."""

import base64
import json
import pathlib
import sys
import tempfile
import traceback
import urllib.parse
import urllib.request

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

URL, DATA, PICTURES = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
DOCS = f"{URL}/v1/docs"
CUSTOMER = "customer@shop.example"
WIDTHS = {"wide": 1280, "narrow": 390, "small": 360}
# A sandbox of its own is more than the superuser has; all else keeps the browser from calling home.
ARGUMENTS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-features=PasswordManagerOnboarding"""
# Runs before any page does, and past its policy.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


class Browser:
    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in [*ARGUMENTS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})

    def size(self, width, height=900, scheme="light"):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]
        features = [{"name": name, "value": value} for name, value in features]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, url):
        self.driver.get("about:blank")
        self.driver.get(url)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, what):
        return WebDriverWait(self.driver, 30).until(lambda _: what())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.textContent || ''", selector)

    def picture(self, name):
        PICTURES.mkdir(parents=True, exist_ok=True)
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"]
        (PICTURES / f"{name}.png").write_bytes(base64.b64decode(data))

    def fits(self, what):
        """Nothing makes the page wider than the window."""
        window, page, widest = self.run(
            """const width = document.documentElement.clientWidth;
            const inScroller = (element) => element.closest("pre, .scroll, textarea, select");
            const wide = [...document.body.querySelectorAll("*")].filter((element) =>
                !inScroller(element) && element.getBoundingClientRect().right > width + 1);
            return [window.innerWidth, document.documentElement.scrollWidth,
                wide.slice(0, 3).map((element) => `${element.tagName}.${element.className} ${element.textContent.slice(0, 40)}`)];"""
        )
        expect(page <= window and not widest, f"{what}: the page is {page} wide in a window of {window}: {widest}")

    def complaints(self, expected=()):
        """What the browser has to say against the page since the last time, but for what was provoked."""
        logged = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        logged = [message for message in logged if not any(part in message for part in expected)]
        return logged + self.run("return window.violations.splice(0)")

    def hosts(self):
        """The hosts that were asked since the last time."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return {urllib.parse.urlsplit(url).netloc for url in urls if url.startswith(("http:", "https:", "ws"))}


def expect(holds, message):
    if not holds:
        raise AssertionError(message)


def shown(browser, url=DOCS):
    browser.open(url)
    browser.wait(lambda: browser.run("return document.querySelectorAll('.operation').length"))


def unnamed(browser):
    """Controls that a screen reader could not tell the name of."""
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "link", "textbox", "searchbox", "combobox", "spinbutton", "navigation", "dialog"}
    value = lambda node, key: node.get(key, {}).get("value", "")
    controls = [node for node in nodes if not node["ignored"] and value(node, "role") in roles]
    expect(len(controls) > 40, f"only {len(controls)} controls were found")
    return [value(node, "role") for node in controls if not value(node, "name")], {value(node, "role") for node in nodes}


def send(browser, operation):
    """Presses Send in an operation's form, and gives the status and the body that are shown."""
    scope = f"[id='{operation}']"
    browser.run("document.querySelector(arguments[0]).replaceChildren()", f"{scope} .outcome")
    browser.run("document.querySelector(arguments[0]).click()", f"{scope} .try form > .primary")
    browser.wait(lambda: browser.text(f"{scope} .outcome"))
    return browser.text(f"{scope} .outcome .status"), browser.text(f"{scope} .outcome pre")


def try_out(browser, operation):
    browser.run("location.hash = arguments[0]", operation)
    browser.wait(lambda: browser.run("return document.getElementById(arguments[0]).open", operation))
    summary = f"[id='{operation}'] .try > summary"
    if not browser.run("return document.querySelector(arguments[0]).parentElement.open", summary):
        browser.run("document.querySelector(arguments[0]).click()", summary)


def log_in(browser, email, password):
    browser.find("#log-in").click()
    for field, value in (("#email", email), ("#password", password)):
        browser.find(field).clear()
        browser.find(field).send_keys(value)
    browser.find("#log-in-form button").click()


def every_operation_is_shown(browser):
    with urllib.request.urlopen(f"{URL}/v1/openapi.json") as answer:
        api = json.load(answer)
    expected = {operation["operationId"] for item in api["paths"].values() for operation in item.values()}
    browser.size(WIDTHS["wide"])
    shown(browser)
    ids = browser.run("return [...document.querySelectorAll('.operation')].map(({ id }) => id)")
    expect(set(ids) == expected and len(ids) == len(expected), f"{set(ids) ^ expected} differ")
    unfold = """const started = performance.now();
        for (let round = 0; round < 4; round += 1) {
            for (const details of document.querySelectorAll(arguments[0])) { details.fill?.(); details.open = true; }
        }
        document.body.getBoundingClientRect();
        return performance.now() - started;"""
    browser.run(unfold, ".operation:not([open]), .try:not([open])")
    nameless, roles = unnamed(browser)
    expect(not nameless, f"controls have no name: {nameless}")
    expect({"banner", "navigation", "search", "main", "heading"} <= roles, f"landmarks are missing: {roles}")
    took = browser.run(unfold, "main details:not([open])")
    twice = browser.run(
        """const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
        return ids.filter((id, index) => ids.indexOf(id) !== index);"""
    )
    expect(not twice, f"ids stand there twice: {twice}")
    odd = browser.run("return ['undefined', '[object', 'NaN'].filter((text) => document.querySelector('main').innerText.includes(text))")
    expect(not odd, f"the page says {odd}")
    without = browser.run("return [...document.querySelectorAll('.operation')].filter((card) => !card.querySelector('.answer')).map(({ id }) => id)")
    expect(not without, f"no answers are shown of {without}")
    print(f"  {len(ids)} operations, all unfolded in {took:.0f} ms")
    for name, width in WIDTHS.items():
        browser.size(width)
        browser.fits(f"all unfolded, {name}")
    browser.size(WIDTHS["wide"])


def it_looks_well(browser):
    for scheme in ("light", "dark"):
        for name, width in WIDTHS.items():
            browser.size(width, scheme=scheme)
            for part in ("", "#tag-orders", "#orders-create"):
                shown(browser, DOCS + part)
                browser.fits(f"{part} {name} {scheme}")
                browser.picture(f"docs-{part.strip('#') or 'top'}-{name}-{scheme}")
    browser.size(WIDTHS["small"])
    shown(browser)
    expect(not browser.find("#nav").is_displayed(), "the contents are in the way")
    browser.find("#menu").click()
    expect(browser.find("#nav").is_displayed(), "the menu does not open")
    browser.fits("menu")
    browser.picture("docs-menu-small-light")
    browser.find("#menu").click()
    browser.find("#log-in").click()
    browser.fits("log-in")
    browser.picture("docs-log-in-small-light")
    browser.size(WIDTHS["wide"])


def it_is_found_and_linked_to(browser):
    shown(browser, f"{DOCS}#orders-pay")
    browser.wait(lambda: browser.run("return document.getElementById('orders-pay').open"))
    top = browser.run("return document.getElementById('orders-pay').getBoundingClientRect().top")
    expect(0 <= top < 200, f"the link leads elsewhere: {top}")
    browser.find("body").send_keys("/")
    expect(browser.run("return document.activeElement.id") == "search", "/ does not lead to the search")
    browser.find("#search").send_keys("refund")
    found = browser.run("return [...document.querySelectorAll('.operation:not([hidden])')].map(({ id }) => id)")
    expect("orders-refund" in found and "products-list" not in found, f"refund finds {found}")
    browser.find("#search").send_keys(Keys.ENTER)
    browser.wait(lambda: browser.run("return location.hash") == f"#{found[0]}")
    browser.find("#search").send_keys(Keys.ESCAPE)
    expect(browser.find("#products-list").is_displayed(), "Escape does not end the search")


def the_catalogue_can_be_read(browser):
    shown(browser)
    try_out(browser, "products-list")
    Select(browser.find("[id='products-list.sort']")).select_by_value("price")
    expect("sort=price" in browser.text("#products-list .panel pre"), "the command does not follow the form")
    status, body = send(browser, "products-list")
    expect(status == "200" and json.loads(body)["items"], f"products-list: {status} {body[:200]}")
    try_out(browser, "products-get")
    status, body = send(browser, "products-get")
    expect(status == "200" and json.loads(body)["id"].startswith("prod_"), f"products-get: {status} {body[:200]}")


def who_logs_in_can_order(browser):
    password = json.loads((DATA / "passwords.json").read_text())[CUSTOMER]
    log_in(browser, CUSTOMER, "not the password")
    browser.wait(lambda: browser.find("#log-in-fault").is_displayed())
    expect("401" in str(browser.complaints()), "a wrong password is no mistake")
    browser.find("#access-close").click()
    log_in(browser, CUSTOMER, password)
    browser.wait(lambda: CUSTOMER in browser.text("#who"))
    expect(not browser.find("#access").is_displayed(), "the dialogue stays open")
    try_out(browser, "profile-get")
    status, body = send(browser, "profile-get")
    expect(status == "200" and json.loads(body)["email"] == CUSTOMER, f"profile-get: {status} {body[:200]}")

    try_out(browser, "orders-create")
    body = browser.find("[id='orders-create.body']")
    with urllib.request.urlopen(f"{URL}/v1/products?in_stock=true&limit=1") as answer:
        product = json.load(answer)["items"][0]["id"]
    order = json.loads(body.get_attribute("value"))
    order.pop("expected_total", None)
    order["items"] = [{"product_id": product, "quantity": 1}]
    browser.run("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", body, json.dumps(order))
    first = send(browser, "orders-create")
    expect(first[0] == "201", f"orders-create: {first}")
    expect("idempotent-replayed" not in browser.text("#orders-create .outcome dl"), "it is a replay")
    browser.picture("docs-tried-wide-light")
    expect(send(browser, "orders-create") == first, "the second answer is another")
    expect("idempotent-replayed" in browser.text("#orders-create .outcome dl"), "it is no replay")
    lacking = "Your token lacks it."
    browser.run("location.hash = 'products-create'")
    browser.wait(lambda: lacking in browser.text("#products-create .access"))
    expect(lacking not in browser.text("#orders-create .access"), "the scope is there")

    kept = browser.run("return [localStorage.length, sessionStorage.length, document.cookie]")
    expect(kept == [0, 0, ""], f"the page keeps {kept}")
    browser.find("#log-out").click()
    expect(browser.text("#who") == "" and browser.find("#log-in").is_displayed(), "nobody is logged out")
    expect(send(browser, "profile-get")[0] == "401", "the token is still there")


def people_sign_in(browser):
    parameters = {
        "response_type": "code", "client_id": "storefront", "redirect_uri": "http://localhost:3000/oauth/callback",
        "state": "af0ifjsldkj", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256",
    }
    for scheme in ("light", "dark"):
        for name, width in WIDTHS.items():
            browser.size(width, scheme=scheme)
            browser.open(f"{URL}/v1/oauth/authorize?{urllib.parse.urlencode(parameters)}")
            browser.fits(f"sign-in {name} {scheme}")
            browser.picture(f"sign-in-{name}-{scheme}")
    browser.find("#email").send_keys(CUSTOMER)
    browser.find("#password").send_keys("not the password")
    browser.find("button[value=allow]").click()
    browser.wait(lambda: "alert" in browser.driver.page_source)
    browser.fits("sign-in, mistaken")
    browser.picture("sign-in-mistaken-small-dark")
    browser.open(f"{URL}/v1/oauth/authorize?client_id=nobody")
    browser.fits("sign-in, refused")
    browser.picture("sign-in-refused-small-dark")
    browser.size(WIDTHS["wide"])


# What is provoked; a status of a page or a fetch that is no success is an error to the browser's console.
PROVOKED = {who_logs_in_can_order: ["status of 401"], people_sign_in: ["status of 400", "favicon.ico"]}


def main():
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            for check in (
                every_operation_is_shown,
                it_looks_well,
                it_is_found_and_linked_to,
                the_catalogue_can_be_read,
                who_logs_in_can_order,
                people_sign_in,
            ):
                print(check.__name__.replace("_", " "))
                check(browser)
                complaints = browser.complaints(PROVOKED.get(check, ()))
                expect(not complaints, f"the browser complains: {complaints}")
                hosts = browser.hosts()
                expect(hosts == {urllib.parse.urlsplit(URL).netloc}, f"other hosts were asked: {hosts}")
        finally:
            browser.driver.quit()
    print(f"all is well; pictures are in {PICTURES}")


try:
    main()
except AssertionError as failed:
    sys.exit(f"failed: {failed}")
except TimeoutException as waited:
    line = traceback.extract_tb(waited.__traceback__)[2].line
    sys.exit(f"failed: the page was waited for in vain: {line}")
