"""A headless Chromium on a page in the file system, and what it did there."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOUND = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


class Keys:
    """Those of the keyboard that write nothing, as WebDriver names them."""

    TAB, DELETE, CONTROL = "\ue004", "\ue017", "\ue009"


class Browser:
    """A page that was opened, and the errors and requests so far."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.preferences: dict[str, str] = {}
        self.errors: list[str] = []
        self.requests: list[str] = []

    def open(self, page: Path, width: int = 1280, height: int = 900, part: str = "") -> None:
        """Show a page, or the part of it that follows the `#` of an address, in a window of that many CSS pixels."""
        address = page.as_uri() + part
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.get("about:blank")
        self.driver.get(address)
        end = time.monotonic() + 30
        is_loaded = "return document.readyState === 'complete' && location.href.startsWith(arguments[0])"
        while not self.driver.execute_script(is_loaded, page.as_uri()):
            assert time.monotonic() < end, "the page did not load"
            time.sleep(0.01)

    def prefer(self, **features: str) -> None:
        """What the system says it prefers from now on: ``prefers_color_scheme="dark"``."""
        self.preferences |= features
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in self.preferences.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def ask(self, expression: str, *arguments: Any) -> Any:
        """The value of an expression in the page, a promise awaited."""
        body = f"const done = arguments[arguments.length - 1]; Promise.resolve({expression}).then(done, done)"
        return self.driver.execute_async_script(body, *arguments)

    def watch(self) -> None:
        """Take over the errors and requests since the last time."""
        self.errors += [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent" and not _is_of_the_browser(message["params"]):
                self.requests.append(message["params"]["request"]["url"])


def _is_of_the_browser(request: dict[str, Any]) -> bool:
    """Whether it was the page that a new browser shows that asked, not ours."""
    return str(request["documentURL"]).startswith(("chrome://", "chrome-untrusted://"))


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = FOUND
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
