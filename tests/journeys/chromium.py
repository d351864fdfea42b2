"""A real headless Chromium that trusts the local tenant's private CA, driven by Debian's chromedriver.

Nothing is switched off for it: the CA stands in the NSS database of a home of its own, as an administrator would put
it there, so a certificate that a browser would refuse fails the test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 20
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--lang=en-US",
)
PROGRAMS = {"chromium": "chromium", "chromedriver": "chromium-driver", "certutil": "libnss3-tools"}
"""Program -> Debian package."""


def require_programs() -> None:
    """Fails (never skips) with what to install."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        pytest.fail(f"The browser tests need: apt-get install -y {' '.join(missing)}", pytrace=False)


def trusting_home(home: Path, ca_file: Path) -> dict[str, str]:
    """An environment whose home's NSS database trusts the CA and nothing else that is private."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-t", "C,,", "-n", "local tenant", "-i", str(ca_file)],
    ):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True, capture_output=True, timeout=60)
    return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}


class Browser:
    """Chromium with the few gestures a person makes.

    Args:
        home: an empty folder for its profile and trust.
        ca_file: the CA to trust.
        resolver: Chromium's host resolver rules, for hosts whose names cannot be changed.
    """

    def __init__(self, home: Path, ca_file: Path | None, *, resolver: str = "") -> None:
        require_programs()
        home.mkdir(parents=True, exist_ok=True)
        environment = trusting_home(home, ca_file) if ca_file else {**os.environ, "HOME": str(home)}
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={home / 'profile'}"):
            options.add_argument(flag)
        if resolver:
            options.add_argument(f"--host-resolver-rules={resolver}")
        service = Service(str(shutil.which("chromedriver")), env=environment)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(SECONDS)

    def close(self) -> None:
        """Ends the browser and its driver."""
        self.driver.quit()

    def size(self, width: int, height: int = 900) -> None:
        """Sets the viewport, in CSS pixels (windows cannot be as narrow as phones)."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """The person prefers a ``light`` or a ``dark`` colour scheme, as set in the system."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def go(self, url: str) -> None:
        """Opens an address."""
        self.driver.get(url)

    @property
    def url(self) -> str:
        """Where the browser is."""
        return str(self.driver.current_url)

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def see(self, text: str) -> None:
        """Waits until the text stands on the page; the failure shows what stands there instead."""
        try:
            WebDriverWait(self.driver, SECONDS).until(lambda _: text in self.text)
        except Exception:
            raise AssertionError(f"{text!r} did not appear at {self.url}:\n{self.text}") from None

    def find(self, css: str) -> WebElement:
        """Waits for an element that can be seen."""

        def visible(driver: webdriver.Chrome) -> WebElement | bool:
            found = [element for element in driver.find_elements(By.CSS_SELECTOR, css) if element.is_displayed()]
            return found[0] if found else False

        try:
            return WebDriverWait(self.driver, SECONDS).until(visible)
        except Exception:
            raise AssertionError(f"{css} did not appear at {self.url}:\n{self.text}") from None

    def type(self, css: str, value: str) -> None:
        """Types into a field, over what stood there."""
        field = self.find(css)
        field.clear()
        field.send_keys(value)

    def press(self, css: str) -> None:
        """Presses a button or link and waits until the page is another one."""
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.find(css).click()
        WebDriverWait(self.driver, SECONDS).until(lambda _: _gone(page))

    def scroll_width(self) -> int:
        """How wide the page is, in CSS pixels."""
        return int(self.driver.execute_script("return document.scrollingElement.scrollWidth"))

    def picture(self, path: Path) -> None:
        """Saves the whole page as a picture."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = self.driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        self.size(width, max(int(height), 600))
        self.driver.save_screenshot(str(path))


def _gone(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except Exception:
        return True
    return False
