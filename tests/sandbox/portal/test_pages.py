"""What the portal shows, what it never shows, and to whom."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from provision.sandbox import people


def pages(shown) -> dict[str, str]:
    """Every page that can be reached by links from the first one."""
    seen: dict[str, str] = {}
    waiting = ["/_portal/"]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.startswith("/_portal"):
            continue
        response = shown.client.get(path)
        assert response.status_code == 200, path
        seen[path] = response.text
        waiting += [unescape(link) for link in re.findall(r'(?:href|src)="([^"]+)"', response.text)]
    return seen


class Markup(HTMLParser):
    """Collects elements, ids and the attributes that could run a script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]


def test_every_link_leads_somewhere_and_no_page_holds_a_secret(shown) -> None:
    """Secrets, hashes and passwords must not be readable in the browser, whatever page."""
    reached = pages(shown)
    assert len(reached) > 20
    forbidden = [value for value, _ in shown.secrets.values()]
    forbidden += [
        shown.seeded.admin_client_secret,
        *shown.seeded.users.values(),
        "_hash",
        "_passwordHash",
        "_createdAt",
    ]
    for path, text in reached.items():
        assert not [value for value in forbidden if value in text], path


def test_pages_run_no_script_and_carry_a_strict_policy(shown) -> None:
    for path in pages(shown):
        response = shown.client.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        if not path.endswith(("/body", ".css")):
            markup = Markup(response.text)
            assert "script" not in markup.tags, path
            assert not markup.handlers, path
            assert len(markup.ids) == len(set(markup.ids)), path
            assert markup.tags.count("h1") == 1, path


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>"


def test_names_that_somebody_chose_to_do_harm_are_words_on_every_page(shown) -> None:
    """Whoever may register an application chooses its name; whoever sends a request chooses its path."""
    for kind in ("application", "servicePrincipal", "user", "organization", "message"):
        for row in shown.directory.all(shown.tenant, kind):
            row |= {
                name: HOSTILE for name in ("displayName", "appDisplayName", "subject", "publisherName") if name in row
            }
            for secret in row.get("passwordCredentials") or ():
                secret["displayName"] = HOSTILE
            if "web" in row:
                row["web"]["homePageUrl"] = row["web"]["logoutUrl"] = "javascript:alert(1)"
                row["web"]["redirectUris"] = [HOSTILE, "javascript:alert(1)"]
            shown.directory.replace(shown.tenant, kind, row)
    shown.client.get("/v1.0/applications/" + HOSTILE)
    seen = 0
    for path in pages(shown):
        text = shown.client.get(path).text
        seen += "&lt;script&gt;alert(1)" in text
        if not path.endswith(("/body", ".css")):
            markup = Markup(text)
            assert not {"script", "img"} & set(markup.tags), path
            assert not markup.handlers, path
            assert "href='javascript:" not in text, path
            assert 'href="javascript:' not in text, path
    assert seen > 5


def test_application_page_shows_what_decides_whether_it_can_send(shown) -> None:
    page = shown.get(f"applications/{shown.application['id']}")
    for expected in (
        shown.application["appId"],
        "https://my.cloudex.app/ACME/Services/Office365Callback.aspx",
        "Single-page application",
        "This organization only (single tenant)",
        "expired 3 days ago",
        "12 days left",
        "700 days left",
        "repo:contoso/mail:ref:refs/heads/main",
        f"ada@{shown.seeded.domain}",
        "granted for everyone",
        "not granted",
    ):
        assert expected in page, expected
    assert shown.get("applications").count("1 missing") == 1


def test_enterprise_application_page_shows_grants_and_roles(shown) -> None:
    principal = shown.directory.find(shown.tenant, "servicePrincipal", appId=shown.application["appId"])[0]
    page = shown.get(f"enterprise-applications/{principal['id']}")
    assert "Mail.Send" in page
    assert "everyone" in page
    admin = shown.directory.find(shown.tenant, "servicePrincipal", appId=shown.seeded.admin_client_id)[0]
    assert "Application.ReadWrite.All" in shown.get(f"enterprise-applications/{admin['id']}")


def test_users_page_shows_roles_licences_and_mailboxes(shown) -> None:
    page = shown.get("users")
    for expected in ("Global Administrator", "O365_BUSINESS_PREMIUM", "Shared mailbox", "Room", "sign-in disabled"):
        assert expected in page, expected


def words(page: str) -> str:
    """The page's text with its markup taken out."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_mailboxes_page_shows_the_layers_of_each(shown) -> None:
    """Own switch, what follows from it, the policy that applies, type and licence: what auditors mix up."""
    made = people.make(
        shown.directory,
        shown.tenant,
        [
            people.Wanted.parse({"alias": "switched", "smtpAuth": "on", "blockedOutbound": True}, alias=""),
            people.Wanted.parse({"alias": "unpaid", "licensed": False}, alias=""),
        ],
    )
    document = {"Name": "Block Basic", "AllowBasicAuthSmtp": False}
    shown.directory.insert(shown.tenant, "authenticationPolicy", document, visible_at_once=True)
    box = shown.directory.get(shown.tenant, "mailbox", made[1]["mailboxId"])
    shown.directory.replace(shown.tenant, "mailbox", {**box, "AuthenticationPolicy": "Block Basic"})
    text = words(shown.get("mailboxes"))
    domain = shown.seeded.domain
    assert f"switched@{domain} User mailbox licensed on set on the mailbox none empty" in text
    expected = (
        f"unpaid@{domain} User mailbox no licence off from the organization Block Basic blocks passwords for SMTP"
    )
    assert expected in text
    assert "SMTP AUTH of the organization off, unless a mailbox has it on" in text
    assert "Outbound mail restricted" in words(shown.get(f"mailboxes/{made[0]['id']}"))


def test_many_mailboxes_come_in_pages(shown) -> None:
    people.make(shown.directory, shown.tenant, [people.Wanted.parse({"alias": "m", "count": 450}, alias="")])
    page, seen, pages = shown.get("mailboxes"), [], 1
    while True:
        seen += re.findall(r'mailboxes/([0-9a-f-]{36})"', page)
        following = re.search(r'/mailboxes(\?after=\d+)"', page)
        if not following:
            break
        page, pages = shown.get(f"mailboxes{following.group(1)}"), pages + 1
    assert pages == 3
    assert len(seen) == len(set(seen)) == shown.directory.count(shown.tenant, "mailbox")


def test_text_mail_is_shown_as_text(shown) -> None:
    page = shown.get(f"messages/{shown.messages['text']}")
    assert "1 &lt; 2 &amp; so on" in page
    assert "Order &lt;b&gt;1&lt;/b&gt;" in page
    assert "iframe" not in Markup(page).tags


def test_html_mail_can_do_nothing(shown) -> None:
    """A mail is anyone's content: no script, no network, no form may come alive in the portal."""
    page = shown.get(f"messages/{shown.messages['html']}")
    assert '<iframe class="mail" sandbox=""' in page
    assert "tracker.example" not in page
    body = shown.client.get(f"/_portal/{shown.tenant}/messages/{shown.messages['html']}/body")
    policy = body.headers["content-security-policy"].split("; ")
    assert "sandbox" in policy
    assert "default-src 'none'" in policy


def test_request_log_is_newest_first_and_can_be_filtered(shown) -> None:
    everything = shown.client.get("/_portal/requests").text
    assert everything.index("AADSTS7000222") < everything.index("sendMail")
    refused = shown.client.get("/_portal/requests", params={"outcome": "refused", "text": "OAUTH2"}).text
    assert "AADSTS7000222" in refused
    assert "TooManyRequests" not in refused
    assert "No request matches." in shown.client.get("/_portal/requests", params={"method": "delete"}).text
    assert "weather: throttle" in shown.client.get("/_portal/requests", params={"outcome": "fault"}).text
    assert shown.client.get("/_portal/requests", params={"outcome": "<nonsense>"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "{tenant}/nothing",
        "{tenant}/applications/x",
        "{tenant}/messages/x/body",
        "{tenant}/mailboxes/x",
        "x/",
    ],
)
def test_what_is_not_there_is_said_on_a_page(shown, path: str) -> None:
    response = shown.client.get("/_portal/" + path.format(tenant=shown.tenant))
    assert response.status_code == 404
    assert "There is no such" in response.text


def test_a_tenant_never_shows_another_tenants_objects(shown) -> None:
    from provision.sandbox import seed

    other = seed.create_tenant(shown.directory, domain="fabrikam.onmicrosoft.com", base_url="https://localhost:8443")
    response = shown.client.get(f"/_portal/{other.tenant_id}/applications/{shown.application['id']}")
    assert response.status_code == 404
    assert "CLOUDEX" not in shown.client.get(f"/_portal/{other.tenant_id}/applications").text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "my.cloudex.app"])
def test_foreign_host_names_are_refused(shown, host: str) -> None:
    """DNS rebinding: a page of the internet must not read the tenant through a name of its own."""
    assert shown.client.get("/_portal/", headers={"Host": host}).status_code == 403


def test_other_machines_are_refused(shown) -> None:
    from starlette.testclient import TestClient

    stranger = TestClient(shown.client.app, base_url="https://localhost:8443", client=("192.0.2.7", 50000))
    assert stranger.get("/_portal/").status_code == 403


def test_portal_changes_nothing(shown) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert shown.client.request(method, "/_portal/").status_code == 405


def test_policies_in_force_are_shown(shown) -> None:
    defaults = shown.directory.all(shown.tenant, "identitySecurityDefaultsEnforcementPolicy")[0]
    shown.directory.replace(shown.tenant, "identitySecurityDefaultsEnforcementPolicy", {**defaults, "isEnabled": True})
    shown.directory.insert(
        shown.tenant, "conditionalAccessPolicy", {"displayName": "Block legacy", "state": "enabled", "conditions": {}}
    )
    page = shown.get("policies")
    assert "MFA registration is asked of everybody" in page
    assert "Block legacy" in page
