"""The product's "Connect to Microsoft" and the portal, in a real Chromium against the local tenant over TLS.

The product answers as ``my.cloudex.app``, the host of the real redirect, and knows nothing but its three values.
"""

from __future__ import annotations

import os
import secrets
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Browser
from customer import PRODUCT, Customer

from provision.sandbox import Sandbox

PICTURES = os.environ.get("BROWSER_PICTURES")
"""A folder for pictures of the pages, for people who work on their look; not set in CI."""
PHONE, DESK = 360, 1280


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A local tenant server of its own, answering to public host names."""
    with Sandbox(tmp_path_factory.mktemp("tenant"), public_names=True) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for the module; its address book knows my.cloudex.app."""
    rules = f"MAP my.cloudex.app:443 localhost:{server.state.port}"
    browser = Browser(tmp_path_factory.mktemp("chromium"), server.ca_file, resolver=rules)
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser as a stranger: no cookie, desk size."""
    chromium.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.size(DESK)
    return chromium


@pytest.fixture
def customer(server: Sandbox) -> Iterator[Customer]:
    """A tenant of a company whose code is in the redirect."""
    made = Customer(server, company=f"Acme{secrets.token_hex(3)}")
    yield made
    made.close()


def connect(browser: Browser, customer: Customer) -> None:
    """From the profile by the manual's buttons to Microsoft."""
    browser.go(f"{PRODUCT}/{customer.company}/Services/Profile.aspx")
    browser.press("#office365-setup")
    browser.press("#connect")


def sign_in(browser: Browser, customer: Customer, alias: str) -> None:
    """Types name and password into Entra's page."""
    username, password = customer.user(alias)
    browser.type("#loginfmt", username)
    browser.type("#passwd", password)
    browser.press("#signin")


def picture(browser: Browser, name: str) -> None:
    """Keeps a picture at both widths, when asked for."""
    if PICTURES:
        for width in (PHONE, DESK):
            browser.size(width)
            browser.picture(Path(PICTURES) / f"{name}-{width}.png")
        browser.size(DESK)


def test_connect_consent_send_and_the_mail_arrives(browser: Browser, customer: Customer, server: Sandbox) -> None:
    """The whole story of the manual: three values, Connect to Microsoft, consent, a test mail, which arrives."""
    customer.register()
    browser.go(f"{PRODUCT}/{customer.company}/Services/Settings")
    picture(browser, "product-settings")
    browser.type("[name=tenantId]", customer.tenant_id)
    browser.type("[name=clientId]", customer.client_id)
    browser.type("[name=clientSecret]", customer.client_secret)
    browser.press("#save")
    assert browser.find("#redirect-uri").text == customer.redirect_uri
    picture(browser, "product-setup")
    browser.press("#connect")
    picture(browser, "entra-sign-in")
    sign_in(browser, customer, "admin")
    browser.see("Permissions requested")
    browser.see("Mail.Send")
    picture(browser, "entra-consent")
    browser.find("#organization").click()
    browser.press("#accept")
    browser.see("Send a test mail")
    assert browser.url == f"{PRODUCT}/{customer.company}/Services/Office365Setup.aspx"
    picture(browser, "product-connected")
    recipient = customer.user("bob")[0]
    subject = f"Order {secrets.token_hex(4)}"
    browser.type("[name=to]", recipient)
    browser.type("[name=subject]", subject)
    browser.press("#send")
    browser.see(f"Test mail to {recipient} accepted by Microsoft Graph.")
    picture(browser, "product-sent")
    (message,) = customer.inbox("bob", subject)
    assert message["from"]["emailAddress"]["address"] == customer.user("admin")[0]
    browser.go(f"{server.base_url}/_portal/{customer.tenant_id}/")
    browser.see(subject)
    picture(browser, "portal-overview")
    browser.see("/v1.0/me/sendMail")


def test_consent_for_everyone_lets_a_plain_user_connect_without_being_asked(
    browser: Browser, customer: Customer
) -> None:
    customer.register(consent=True)
    customer.configure_product()
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("Send a test mail")
    subject = f"Offer {secrets.token_hex(4)}"
    sent = customer.send_headless(to=customer.user("bob")[0], subject=subject)
    assert sent.json()["status"] == "sent", sent.text
    assert len(customer.inbox("bob", subject)) == 1


def smtp_login(server: Sandbox, name: str, password: str) -> int:
    """The reply of the SMTP server to a password."""
    host, _, port = server.smtp_address.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(server.ca_file)))
        try:
            return client.login(name, password)[0]
        except smtplib.SMTPAuthenticationError as refused:
            return refused.smtp_code


def test_a_user_makes_an_app_password_on_the_page_and_it_ends_with_it(
    browser: Browser, customer: Customer, server: Sandbox
) -> None:
    """The seed's second step: with MFA the normal password is refused, the one from the page is taken until deleted."""
    (person,) = server.new_people(customer.tenant_id, {"alias": "phone", "smtpAuth": "on", "mfa": "registered"})
    name, password = person.user_principal_name, str(person.password)
    assert smtp_login(server, name, password) == 535
    browser.go(f"{server.base_url}/security-info")
    browser.type("#loginfmt", name)
    browser.type("#passwd", password)
    browser.press("#signin")
    browser.type("[name=otc]", "123456")
    browser.press("main [type=submit]")
    browser.see("App passwords")
    browser.type("#name", "CLOUDEX")
    browser.press("#create")
    made = browser.find("#made").text
    assert len(made) == 16
    browser.size(PHONE)
    assert browser.scroll_width() <= PHONE
    picture(browser, "entra-app-passwords")
    browser.size(DESK)
    assert smtp_login(server, name, made) == 235
    browser.go(f"{server.base_url}/security-info")
    browser.see("CLOUDEX")
    assert made not in browser.text
    browser.press("[aria-label='Delete CLOUDEX']")
    assert "CLOUDEX" not in browser.text
    assert smtp_login(server, name, made) == 535


def test_redirect_with_another_letter_case_is_aadsts50011(
    browser: Browser, customer: Customer, server: Sandbox
) -> None:
    """Entra compares the redirect letter by letter."""
    customer.register(redirect_uri=customer.redirect_uri.replace("Office365Callback", "office365callback"))
    customer.configure_product()
    connect(browser, customer)
    browser.see("AADSTS50011")
    browser.see(customer.redirect_uri)
    assert browser.url.startswith(server.base_url)
    browser.size(PHONE)
    assert browser.scroll_width() <= PHONE
    picture(browser, "entra-50011")


def test_redirect_on_the_spa_platform_fails_at_redemption(browser: Browser, customer: Customer) -> None:
    """Signing in works, then the product, which has a secret and no browser origin, cannot redeem the code."""
    customer.register(platform="spa", consent=True)
    customer.configure_product()
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("AADSTS9002327")
    assert browser.url.startswith(customer.redirect_uri)
    assert "Single-Page Application" in browser.find("#sentence").text
    picture(browser, "product-refused")


def test_plain_user_without_consent_is_told_to_ask_an_administrator(browser: Browser, customer: Customer) -> None:
    customer.register()
    customer.configure_product()
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("AADSTS90094")
    picture(browser, "entra-90094")


def test_declined_consent_comes_back_to_the_product(browser: Browser, customer: Customer) -> None:
    customer.register()
    customer.configure_product()
    connect(browser, customer)
    sign_in(browser, customer, "admin")
    browser.press("button[value=cancel]")
    browser.see("AADSTS65004")
    assert browser.find("#error").text == "access_denied"


def test_consent_taken_back_is_aadsts65001_at_the_next_mail(browser: Browser, customer: Customer) -> None:
    """The refresh token is still there; the grant is not: the token endpoint refuses, the product shows it."""
    customer.register(consent=True)
    customer.configure_product()
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("Send a test mail")
    customer.revoke_consent()
    browser.press("#send")
    browser.see("AADSTS65001")


def test_admin_consent_link_grants_for_everyone(browser: Browser, customer: Customer) -> None:
    """The administrator consents by the link alone; then a plain user connects without a question."""
    customer.register()
    customer.configure_product()
    browser.go(f"{PRODUCT}/{customer.company}/Services/Office365Setup.aspx")
    browser.press("#admin-consent")
    sign_in(browser, customer, "admin")
    browser.press("#accept")
    browser.see("Admin consent granted")
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("Send a test mail")


def test_expired_secret_is_aadsts7000222_and_the_product_shows_it(
    browser: Browser, customer: Customer, server: Sandbox
) -> None:
    """Everything worked yesterday; the secret's end passes; the next mail fails with Entra's own words."""
    customer.register(consent=True, secret_ends=datetime.now(UTC) + timedelta(hours=12))
    customer.configure_product()
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("Send a test mail")
    server.set_faults(clock_skew=86400.0)
    try:
        browser.press("#send")
        browser.see("AADSTS7000222")
        assert browser.find("#error").text == "invalid_client"
        picture(browser, "product-7000222")
        refused = customer.send_headless(to=customer.user("bob")[0], subject="x")
        assert (refused.status_code, refused.json()["code"]) == (502, "AADSTS7000222")
        browser.go(f"{server.base_url}/_portal/{customer.tenant_id}/applications")
        browser.see("expired")
    finally:
        server.clear_faults()


def test_wrong_secret_is_aadsts7000215_at_redemption(browser: Browser, customer: Customer) -> None:
    """Often the Secret ID is typed in instead of the value."""
    customer.register(consent=True)
    customer.configure_product(clientSecret=customer.client_id)
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("AADSTS7000215")


def test_common_endpoint_with_a_single_tenant_app_is_aadsts50194(browser: Browser, customer: Customer) -> None:
    customer.register(consent=True)
    customer.configure_product(tenantId="common")
    connect(browser, customer)
    browser.see("AADSTS50194")


def test_unknown_tenant_is_told_in_entras_words_by_the_product(browser: Browser, customer: Customer) -> None:
    """MSAL drops Entra's text here; the product must not."""
    customer.register()
    customer.configure_product(tenantId="no-such-tenant.onmicrosoft.com")
    connect(browser, customer)
    browser.see("AADSTS90002")


def test_secret_in_a_file_is_followed_through_a_rotation(browser: Browser, customer: Customer, tmp_path: Path) -> None:
    """The sink of a rotation is the product's source: a new secret is in use at the next mail, without a restart."""
    customer.register(consent=True)
    source = tmp_path / "mail.env"
    source.write_text(f"CLIENT_SECRET={customer.client_secret}\n")
    customer.configure_product(clientSecret="", secretFile=str(source))
    connect(browser, customer)
    sign_in(browser, customer, "ada")
    browser.see("Send a test mail")
    former = customer.secret_key_id
    customer.new_secret()
    customer.remove_secret(former)
    mail = {"to": customer.user("bob")[0], "subject": "rotated"}
    assert customer.send_headless(**mail).json()["code"] == "AADSTS7000215"
    source.write_text(f"CLIENT_SECRET={customer.client_secret}\n")
    assert customer.send_headless(**mail).json()["status"] == "sent"


def test_connect_works_by_keyboard_alone(browser: Browser, customer: Customer) -> None:
    customer.register(consent=True)
    customer.configure_product()
    browser.go(f"{PRODUCT}/{customer.company}/Services/Office365Setup.aspx")
    browser.find("body").send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to content"
    for _ in range(20):
        if browser.driver.switch_to.active_element.get_attribute("id") == "connect":
            break
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.find("#loginfmt").send_keys(customer.user("ada")[0], Keys.TAB, customer.user("ada")[1], Keys.ENTER)
    browser.see("Send a test mail")


def test_product_alone_on_a_port_of_its_own_is_another_origin(
    browser: Browser, customer: Customer, server: Sandbox, tmp_path: Path
) -> None:
    """It needs nothing of the local tenant's process: only addresses, the CA and the three values."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "provision.sandbox.product", "--port", str(port), "--dir", str(tmp_path)]
    command += ["--authority", server.base_url, "--graph", server.base_url, "--ca-file", str(server.ca_file)]
    origin = f"http://localhost:{port}"
    customer.register(redirect_uri=customer.redirect_uri.replace(PRODUCT, origin), consent=True)
    with subprocess.Popen(command) as process:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=6)) as waiting:
                assert waiting.get(f"http://127.0.0.1:{port}/_product/").status_code == 200
            customer.configure_product(origin)
            browser.go(f"{origin}/{customer.company}/Services/Office365Setup.aspx")
            browser.press("#connect")
            sign_in(browser, customer, "ada")
            browser.type("[name=subject]", "From another port")
            browser.type("[name=to]", customer.user("bob")[0])
            browser.press("#send")
            browser.see("accepted by Microsoft Graph")
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert len(customer.inbox("bob", "From another port")) == 1


def test_every_portal_page_fits_a_phone_and_a_desk(browser: Browser, customer: Customer, server: Sandbox) -> None:
    """No page scrolls sideways, at 360 and at 1280 pixels, with long names, ids and addresses on it."""
    customer.register(consent=True, name="Ļoti garš nosaukums " + "WithoutAnySpaceInIt" * 4)
    base = f"{server.base_url}/_portal"
    waiting, seen = [f"{base}/", f"{base}/{customer.tenant_id}/"], set()
    while waiting:
        url = waiting.pop()
        seen.add(url)
        browser.size(PHONE)
        browser.go(url)
        assert browser.scroll_width() <= PHONE, url
        browser.size(DESK)
        assert browser.scroll_width() <= DESK, url
        links = [link.get_attribute("href") for link in browser.driver.find_elements(By.CSS_SELECTOR, "a[href]")]
        inside = [
            link for link in links if link and (customer.tenant_id in link or link.endswith(("/requests", "/weather")))
        ]
        waiting += [link for link in dict.fromkeys(inside) if link not in seen and link not in waiting]
    assert len(seen) > 15


def test_html_mail_runs_nothing_in_the_portal(browser: Browser, customer: Customer, server: Sandbox) -> None:
    """A script in a mail must not run in the reader's browser."""
    customer.register(consent=True)
    owning = "top.document.title='owned'"
    script = f"<p id=hello>Hello</p><script>{owning}</script><img src=x onerror={owning}>"
    customer.deliver("bob", subject="Newsletter", html=script)
    (message,) = customer.inbox("bob", "Newsletter")
    browser.go(f"{server.base_url}/_portal/{customer.tenant_id}/messages/{message['id']}")
    browser.driver.switch_to.frame(browser.find("iframe.mail"))
    assert browser.driver.find_element(By.ID, "hello").text == "Hello"
    browser.driver.switch_to.default_content()
    assert browser.driver.title.startswith("Newsletter")
    picture(browser, "portal-html-mail")


def test_browser_without_the_private_ca_refuses_the_tenant(server: Sandbox, tmp_path: Path) -> None:
    """Trust is real in these tests: take the CA away and Chromium does not enter."""
    stranger = Browser(tmp_path, None)
    try:
        stranger.go(f"{server.base_url}/_portal/")
        stranger.see("ERR_CERT_AUTHORITY_INVALID")
    finally:
        stranger.close()


def test_missing_browser_is_said_in_one_sentence() -> None:
    """Without Chromium the tests fail, with what to install; they never pass by being skipped."""
    code = "import chromium; chromium.require_programs()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "apt-get install -y chromium chromium-driver libnss3-tools" in result.stderr
