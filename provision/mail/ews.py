"""Proof by Exchange Web Services, with exchangelib: the company's own and hybrid servers, and Exchange Online.

Owns: finding the server, signing in (OAuth, NTLM, Basic), sending, finding again, and the dates of the end. Does not
own: tokens. Never build on it for Exchange Online: send by Microsoft Graph.

Sources: exchangelib's documentation; "Deprecation of Exchange Web Services in Exchange Online" and MC1227454 (the
dates: switched off from 2026-10-01 tenant by tenant unless ``EWSEnabled`` is true and the application is in
``EwsAllowedAppIDs``; gone for all on 2027-04-01; Exchange Server is not affected). exchangelib drops the two headers in
which Exchange Online says why (``X-EWS-Policy-Reason``, ``x-ms-diagnostics``), so the adapter keeps them.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.mail.letter import Letter
from provision.mail.smtp import Login, Password
from provision.mail.timeline import Outcome, Stage, Timeline
from provision.settings.endpoints import unreachable

T = TypeVar("T")
Auth = Literal["oauth", "oauth-app", "ntlm", "basic"]

SWITCHED_OFF, GONE = date(2026, 10, 1), date(2027, 4, 1)
_GRAPH = "Send through Microsoft Graph."
_HEADERS = ("X-EWS-Policy-Reason", "x-ms-diagnostics")
_REASON = re.compile(r'reason="([^"]{0,200})"')
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


@dataclass(frozen=True)
class Server:
    """Which Exchange, and how to sign in."""

    auth: Auth
    url: str | None = None
    """Its ``…/EWS/Exchange.asmx``; None: autodiscover finds it."""
    autodiscover: str | None = None
    """Where autodiscover is (``…/autodiscover/autodiscover.svc``); None: from the mail address' domain and DNS."""
    is_online: bool = False
    """Exchange Online, whose Web Services end."""


@dataclass
class _Heard:
    """What the server's last refusal said in its headers."""

    words: list[str] = field(default_factory=list)

    def note(self, status: int, headers: Any) -> None:
        self.words = []
        if status >= 400:
            texts = [str(headers[name]) for name in _HEADERS if name in headers]
            self.words = [found.group(1) if (found := _REASON.search(text)) else text[:200] for text in texts]


def calendar(today: date) -> str:
    """What the dates mean today, one sentence."""
    if today >= GONE:
        return f"Exchange Online has no Exchange Web Services since {GONE}; this is tried all the same. {_GRAPH}"
    if today >= SWITCHED_OFF:
        return (
            f"Exchange Online has them switched off since {SWITCHED_OFF} unless an administrator set EwsEnabled and "
            f"listed the application; on {GONE} they end for everybody. {_GRAPH}"
        )
    return f"Exchange Online switches them off from {SWITCHED_OFF} and ends them on {GONE}. {_GRAPH}"


def prove(
    timeline: Timeline,
    server: Server,
    login: Login,
    letter: Letter,
    *,
    ca_file: str | None,
    today: date,
    seconds: float,
) -> None:
    """Sends the letter and finds it again.

    Args:
        timeline: takes the steps.
        server: which Exchange.
        login: name and password, or an access token.
        letter: what to send.
        ca_file: certificate authorities to trust instead of the machine's.
        today: for the dates of the end.
        seconds: how long to wait for the letter to arrive.

    Raises:
        InvalidInput: exchangelib is not installed.
    """
    exchangelib = _library()
    if server.is_online:
        timeline.note(Stage("ews", "calendar", Outcome.DONE, 0.0, calendar(today)))
    with _reached(timeline, server, login, letter.sender, ca_file) as (asking, account):
        message = exchangelib.Message(
            account=account,
            folder=account.sent,
            subject=letter.subject,
            body=letter.text,
            to_recipients=[exchangelib.Mailbox(email_address=letter.recipient)],
        )
        timeline.take(
            "ews",
            "sent",
            lambda: asking.ask("send", message.send_and_save),
            lambda _: f"accepted for {letter.recipient}",
        )
        _find(timeline, asking, account, letter, seconds)


def knock(timeline: Timeline, server: Server, login: Login, address: str, *, ca_file: str | None) -> None:
    """Finds the server and opens the mailbox; sends nothing. Takes and raises what ``prove`` does.

    Args:
        timeline: takes the steps.
        server: which Exchange.
        login: name and password, or an access token.
        address: the mailbox.
        ca_file: certificate authorities to trust instead of the machine's.
    """
    _library()
    with _reached(timeline, server, login, address, ca_file):
        pass


def _library() -> Any:
    try:
        import exchangelib
    except ImportError:
        raise InvalidInput("Exchange Web Services need exchangelib.", remedy="pip install 'provision[ews]'") from None
    return exchangelib


@contextlib.contextmanager
def _reached(
    timeline: Timeline, server: Server, login: Login, address: str, ca_file: str | None
) -> Iterator[tuple[_Asking, Any]]:
    """The mailbox, opened, for as long as this lasts."""
    heard = _Heard()
    with _line(ca_file, heard):
        asking = _Asking(server, login, address, heard)
        url = server.url or timeline.take("ews", "autodiscover", asking.discover, str)
        account = timeline.take("ews", "mailbox opened", lambda: asking.opened(url), lambda _: urlsplit(url).netloc)
        yield asking, account


def _find(timeline: Timeline, asking: _Asking, account: Any, letter: Letter, seconds: float) -> None:
    places = [("Sent Items", account.sent)]
    if letter.recipient.lower() == letter.sender.lower():
        places.append((f"inbox of {letter.recipient}", account.inbox))
    else:
        timeline.skip("ews", f"found in the inbox of {letter.recipient}", "It is another's mailbox.")
    for title, folder in places:
        timeline.take("ews", f"found in {title}", partial(_wait, asking, folder, letter, seconds), str)


def _wait(asking: _Asking, folder: Any, letter: Letter, seconds: float) -> str:
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        found = asking.ask("search", lambda: list(folder.filter(subject=letter.subject).only("message_id")[:1]))
        if found:
            return str(found[0].message_id)
        if time.monotonic() + pause > deadline:
            raise ProvisionError(
                f"Not there {seconds:.0f} seconds after it was sent.",
                remedy="Look in the junk folder; the server's message tracking log tells where it went.",
            )
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


class _Asking:
    """exchangelib with one sign-in, and its failures as sentences."""

    def __init__(self, server: Server, login: Login, address: str, heard: _Heard) -> None:
        self._server, self._login, self._address, self._heard = server, login, address, heard

    def _credentials(self) -> Any:
        from exchangelib import Identity
        from exchangelib.credentials import Credentials, OAuth2AuthorizationCodeCredentials

        if isinstance(self._login, Password):
            return Credentials(self._login.user, self._login.value)
        token = {"access_token": self._login.value, "token_type": "Bearer"}
        on_behalf = Identity(primary_smtp_address=self._address) if self._server.auth == "oauth-app" else None
        return OAuth2AuthorizationCodeCredentials(access_token=token, identity=on_behalf)

    def _configuration(self, url: str) -> Any:
        from exchangelib import BASIC, NTLM, OAUTH2, Configuration, FailFast

        kinds = {"oauth": OAUTH2, "oauth-app": OAUTH2, "ntlm": NTLM, "basic": BASIC}
        return Configuration(
            service_endpoint=url,
            credentials=self._credentials(),
            auth_type=kinds[self._server.auth],
            retry_policy=FailFast(),
        )

    def discover(self) -> str:
        """The server's address for this mailbox."""

        def found() -> str:
            from exchangelib.autodiscover import Autodiscovery
            from exchangelib.autodiscover.protocol import AutodiscoverProtocol

            if self._server.autodiscover is None:
                told, _ = Autodiscovery(email=self._address, credentials=self._credentials()).discover()
            else:
                protocol = AutodiscoverProtocol(config=self._configuration(self._server.autodiscover))
                told = protocol.get_user_settings(self._address)
                told.raise_errors()
            if told.redirect_address:
                raise InvalidInput(
                    f"Autodiscover says that the mailbox is elsewhere, as {told.redirect_address}.",
                    remedy="It has moved to Exchange Online: send by Microsoft Graph (--via graph).",
                )
            return str(told.ews_url)

        return self.ask("tell the server's address", found)

    def opened(self, url: str) -> Any:
        """The mailbox, with its Sent Items seen."""
        from exchangelib import DELEGATE, IMPERSONATION, Account

        def opened() -> Any:
            account = Account(
                self._address,
                config=self._configuration(url),
                autodiscover=False,
                access_type=IMPERSONATION if self._server.auth == "oauth-app" else DELEGATE,
            )
            account.sent.refresh()
            return account

        return self.ask("open the mailbox", opened)

    def ask(self, doing: str, work: Callable[[], T]) -> T:
        """Does something, and says a failure in one sentence.

        Raises:
            SignInFailed, NotPermitted, InvalidInput, Unreachable: as the names say.
        """
        import requests
        from exchangelib.errors import AutoDiscoverFailed, EWSError, TransportError, UnauthorizedError

        try:
            return work()
        except UnauthorizedError:
            raise SignInFailed(
                f"Exchange does not accept the sign-in to {doing} (HTTP 401{self._reasons()}).",
                remedy=_UNAUTHORIZED[self._server.auth],
            ) from None
        except AutoDiscoverFailed:
            raise Unreachable(
                f"Autodiscover finds no Exchange for {self._address}.",
                remedy="Check DNS (autodiscover.DOMAIN), or name the server: --ews-url https://HOST/EWS/Exchange.asmx",
            ) from None
        except requests.exceptions.RequestException as error:
            raise unreachable("the Exchange server", error) from None
        except TransportError as error:
            if self._heard.words:
                raise NotPermitted(f"Exchange refuses to {doing} (HTTP 403{self._reasons()}).", remedy=_GRAPH) from None
            if any(word in str(error) for word in _NO_CONNECTION):
                raise unreachable("the Exchange server", error) from None
            raise _refusal(doing, error) from None
        except EWSError as error:
            raise _refusal(doing, error) from None

    def _reasons(self) -> str:
        return "".join(f": {word}" for word in self._heard.words)


def _refusal(doing: str, error: Exception) -> NotPermitted:
    said = " ".join(str(error).split())[:200]
    return NotPermitted(f"Exchange refuses to {doing} ({type(error).__name__}: {said}).")


_NO_CONNECTION = ("HTTPSConnectionPool", "Connection aborted", "CERTIFICATE_VERIFY_FAILED", "timed out")
"""Words of ``requests`` by which a failure of the connection is known: exchangelib makes all one kind."""

_UNAUTHORIZED: dict[Auth, str] = {
    "oauth": "The token must be the user's own, for this Exchange, with EWS.AccessAsUser.All; one for Microsoft Graph "
    "is not. For a hybrid server name its own address with --ews-resource.",
    "oauth-app": "The application needs full_access_as_app (Office 365 Exchange Online) with admin consent.",
    "ntlm": "Check the name (DOMAIN\\user, or the user principal name) and the password; the account must not be "
    "disabled. Where the server takes no NTLM, try --ews-auth basic.",
    "basic": "Check the name (DOMAIN\\user, or the user principal name) and the password; the account must not be "
    "disabled. Where the server takes no Basic, try --ews-auth ntlm.",
}


@contextlib.contextmanager
def _line(ca_file: str | None, heard: _Heard) -> Iterator[None]:
    """The library's connections for as long as this lasts: what they trust, and who listens to their headers.

    It takes both from a class ("Proxies and custom TLS validation" in its documentation) and keeps connections over
    accounts, so they are closed afterwards.
    """
    from exchangelib import close_connections
    from exchangelib.protocol import BaseProtocol
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, ca_file or verify, cert)

        def send(self, *arguments: Any, **options: Any) -> Any:
            answer = super().send(*arguments, **options)
            heard.note(answer.status_code, answer.headers)
            return answer

    before = BaseProtocol.HTTP_ADAPTER_CLS
    BaseProtocol.HTTP_ADAPTER_CLS = Adapter
    try:
        yield
    finally:
        BaseProtocol.HTTP_ADAPTER_CLS = before
        close_connections()
