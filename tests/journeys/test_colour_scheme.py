"""Every page follows the browser's colour scheme, in a real Chromium: measured on the page as it is drawn.

Colours are read from the browser, not from a style sheet: what a page inherits, forgets or overrides counts.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Browser
from customer import PRODUCT, Customer

from provision.sandbox import Sandbox

PICTURES = os.environ.get("BROWSER_PICTURES")
"""A folder for pictures of the pages, for people who work on their look; not set in CI."""
SCHEMES = ("light", "dark")

MEASURE = """
const parse = colour => {
  const numbers = colour.match(/[\\d.]+/g).map(Number);
  return {rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1};
};
const light = ({rgb}) => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = e => {
  for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.alpha === 1) return c; }
  throw new Error('the page has no ground');
};
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => p - q); return (y + 0.05) / (x + 0.05); };
const poor = [];
const check = (e, text) => {
  const style = getComputedStyle(e), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const found = ratio(parse(style.color), ground(e));
  if (found < (large ? 3 : 4.5)) poor.push(`${found.toFixed(2)} ${e.tagName}: ${text.trim().slice(0, 40)}`);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.data, e = walker.currentNode.parentElement, box = e.getBoundingClientRect();
  if (text.trim() && box.width && box.right > 0 && !e.closest('script, style')) check(e, text);
}
for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
  if (e.getBoundingClientRect().width) check(e, `field ${e.name}`);
}
return {
  poor,
  ground: light(ground(document.body)),
  foreign: performance.getEntriesByType('resource').map(r => r.name).filter(n => new URL(n).origin !== location.origin),
};
"""
"""Text and fields whose contrast is below WCAG 2.2 AA, the page's luminance, and what came from elsewhere."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A local tenant server of its own, answering to public host names."""
    with Sandbox(tmp_path_factory.mktemp("tenant"), public_names=True) as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for the module; its address book knows my.cloudex.app."""
    rules = f"MAP my.cloudex.app:443 localhost:{server.state.port}"
    made = Browser(tmp_path_factory.mktemp("chromium"), server.ca_file, resolver=rules)
    yield made
    made.close()


@pytest.fixture
def customer(server: Sandbox, browser: Browser) -> Iterator[Customer]:
    """A tenant of a company whose code is in the redirect, and a browser that knows nobody."""
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.size(1280)
    made = Customer(server, company=f"Acme{secrets.token_hex(3)}")
    yield made
    made.close()


Look = Callable[[str], None]


@pytest.fixture
def look(browser: Browser) -> Look:
    """Measures the page that is open, in both schemes."""

    def at(name: str) -> None:
        for scheme in SCHEMES:
            browser.prefer(scheme)
            seen: dict[str, Any] = browser.driver.execute_script(MEASURE)
            if PICTURES:
                browser.picture(Path(PICTURES) / f"{name}-{scheme}.png")
                browser.size(1280)
            assert seen["poor"] == [], f"{name}, {scheme}: {seen['poor']}"
            assert seen["ground"] < 0.05 if scheme == "dark" else seen["ground"] > 0.8, (name, scheme, seen["ground"])
            assert seen["foreign"] == [], f"{name}: {seen['foreign']}"

    return at


def sign_in(browser: Browser, customer: Customer, alias: str, password: str | None = None) -> None:
    username, right = customer.user(alias)
    browser.type("#loginfmt", username)
    browser.type("#passwd", password or right)
    browser.press("#signin")


def test_the_product_and_entras_pages_on_the_way(browser: Browser, customer: Customer, look: Look) -> None:
    """Profile, settings, setup; sign-in with a wrong password, consent; connected, sent, refused."""
    customer.register()
    browser.go(f"{PRODUCT}/_product/")
    look("product-companies")
    browser.go(f"{PRODUCT}/{customer.company}/Services/Profile.aspx")
    look("product-profile")
    browser.go(f"{PRODUCT}/{customer.company}/Services/Settings")
    look("product-settings")
    customer.configure_product()
    browser.go(f"{PRODUCT}/{customer.company}/Services/Office365Setup.aspx")
    look("product-setup")
    browser.press("#connect")
    look("entra-sign-in")
    sign_in(browser, customer, "admin", password="wrong")
    browser.see("AADSTS50126")
    look("entra-wrong-password")
    sign_in(browser, customer, "admin")
    browser.see("Permissions requested")
    look("entra-consent")
    browser.press("#accept")
    browser.see("Send a test mail")
    look("product-connected")
    browser.type("[name=to]", customer.user("bob")[0])
    browser.type("[name=subject]", "Hello")
    browser.press("#send")
    browser.see("accepted by Microsoft Graph")
    look("product-sent")
    customer.revoke_consent()
    browser.press("#send")
    browser.see("AADSTS65001")
    look("product-refused")


def test_entras_other_pages(browser: Browser, customer: Customer, server: Sandbox, look: Look) -> None:
    """Refusal, account picker, second factor, device code, error lookup, signing out."""
    customer.register(consent=True)
    base = f"{server.base_url}/{customer.tenant_id}"
    asked = f"client_id={customer.client_id}&response_type=code&scope=openid%20Mail.Send&redirect_uri="
    browser.go(f"{base}/oauth2/v2.0/authorize?{asked}{PRODUCT}/elsewhere")
    browser.see("AADSTS50011")
    look("entra-refusal")
    authorize = f"{base}/oauth2/v2.0/authorize?{asked}{customer.redirect_uri}"
    customer.require_second_factor()
    browser.go(authorize)
    sign_in(browser, customer, "ada")
    browser.see("More information required")
    look("entra-second-factor")
    browser.type("#otc", "000000")
    browser.press("button.primary")
    browser.see("expected verification code")
    look("entra-wrong-code")
    browser.go(f"{authorize}&prompt=select_account")
    browser.see("Pick an account")
    look("entra-account")
    browser.go(f"{server.base_url}/devicelogin")
    look("entra-device-code")
    browser.go(f"{server.base_url}/error?code=50011")
    look("entra-error-lookup")
    browser.go(f"{base}/oauth2/v2.0/logout")
    look("entra-signed-out")


def test_the_portal(browser: Browser, customer: Customer, server: Sandbox, look: Look) -> None:
    """One page of each kind, with something on it; a refused request among the requests."""
    customer.register(consent=True)
    customer.deliver("bob", subject="Newsletter", html="<p>Hello</p>")
    (message,) = customer.inbox("bob", "Newsletter")
    pages = {
        "tenants": "",
        "requests": "requests",
        "weather": "weather",
        "overview": f"{customer.tenant_id}/",
        "applications": f"{customer.tenant_id}/applications",
        "principals": f"{customer.tenant_id}/enterprise-applications",
        "users": f"{customer.tenant_id}/users",
        "mailboxes": f"{customer.tenant_id}/mailboxes",
        "policies": f"{customer.tenant_id}/policies",
        "message": f"{customer.tenant_id}/messages/{message['id']}",
        "missing": f"{customer.tenant_id}/nothing",
    }
    for name, path in pages.items():
        browser.go(f"{server.base_url}/_portal/{path}")
        look(f"portal-{name}")
    for name in ("applications", "enterprise-applications", "mailboxes"):
        browser.go(f"{server.base_url}/_portal/{customer.tenant_id}/{name}")
        browser.press("main td a")
        look(f"portal-one-of-{name}")
