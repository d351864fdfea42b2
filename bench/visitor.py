"""A person at the sample product: presses "Connect to Microsoft" and fills the sign-in form in, without a browser."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

_END = "/Services/Office365Setup.aspx"


def connect(http: httpx.Client, company: str, user: str, password: str) -> None:
    """Connects a mailbox.

    Args:
        http: on the server's address.
        company: the company code at the product.
        user: user principal name.
        password: the user's.

    Raises:
        RuntimeError: the way does not end at the product; with what the last page says.
    """
    button, origin = f"/{company}/Services/Office365Connect.aspx", str(http.base_url).rstrip("/")
    page = http.post(button, headers={"Origin": origin}, follow_redirects=True)
    if not page.url.path.endswith(_END):  # else Microsoft remembers who is signed in
        form = _Form()
        form.feed(page.text)
        filled = {**form.fields, "loginfmt": user, "passwd": password}
        page = http.post(urljoin(str(page.url), form.action), data=filled, follow_redirects=True)
    if not page.url.path.endswith(_END) or user not in http.get(f"/_product/{company}").json()["mailboxes"]:
        raise RuntimeError(f"the sign-in ended at {page.url.path}: {' '.join(page.text.split())[:400]}")


class _Form(HTMLParser):
    """A page's form: where it goes and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = given.get("action", "")
        elif tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"]] = given.get("value", "")
