"""The whole proof: client secret, the user's sign-in, then one mail by each way that was asked for.

Owns: the order, and what is skipped for want of something. Does not own: the ways (``graph``, ``submission``, ``ews``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlsplit

from provision.errors import SignInFailed
from provision.mail import ews, graph, submission
from provision.mail.letter import Letter
from provision.mail.smtp import Password, Token
from provision.mail.timeline import Timeline
from provision.microsoft.credentials import Credential
from provision.microsoft.mail_items import READING, GivenCredential, MailItems
from provision.microsoft.product_sign_in import Registration, UserSignIn, token_by_secret, told_by
from provision.microsoft.tokens import caller_of
from provision.settings.endpoints import Endpoints

WAYS = ("graph", "smtp", "ews")
NO_SIGN_IN = "No sign-in of the user was given."
NO_SECRET = "No client secret was given."  # noqa: S105 - a sentence
_GIVE_SECRET = "Give --client-secret-file, or --stack."  # noqa: S105 - a sentence


@dataclass(frozen=True)
class Wish:
    """What is to be proven; ``repr`` shows no secret."""

    ways: tuple[str, ...]
    """Of ``WAYS``; none: the client secret alone."""
    user: str = ""
    """The user principal name of whoever sends."""
    to: str = ""
    registration: Registration | None = None
    session: UserSignIn | None = None
    """The user's sign-in, where it was made before: by the product, or by another program."""
    sign_in: Callable[[], UserSignIn] | None = None
    """Lets a person sign in now; None where nobody can."""
    how_to_sign_in: str = ""
    """What to do for a sign-in, one sentence."""
    password: str | None = field(default=None, repr=False)
    """The user's password or app password, for SMTP and for a server of the company's own."""
    server: ews.Server | None = None
    """Which Exchange, for EWS; Exchange Online without it."""
    server_user: str = ""
    """The name for NTLM and Basic; the user's without it."""
    server_resource: str = ""
    """What a token for a hybrid server is for; its own address without it."""
    reader: Credential | None = field(default=None, repr=False)
    """Who may read the mailboxes; the user's own token is tried without it."""
    wait: float = 30.0
    """Seconds in which a mail must have arrived."""


def prove(wish: Wish, endpoints: Endpoints, timeline: Timeline, *, today: date) -> tuple[str, ...]:
    """Takes all steps that can be taken; what is refused ends its own way only.

    Args:
        wish: what is to be proven.
        endpoints: the cloud.
        timeline: takes the steps.
        today: for the dates on which things end.

    Returns:
        What was asked for and not tried, for want of a sign-in, a password or a secret.

    Raises:
        InvalidInput: something given cannot be used, such as an address.
    """
    proof = _Proof(wish, endpoints, timeline, today)
    proof.secret()
    proof.sign_in()
    for way in wish.ways:
        with timeline.way():
            proof.ways[way]()
    return tuple(proof.untried)


class _Proof:
    def __init__(self, wish: Wish, endpoints: Endpoints, timeline: Timeline, today: date) -> None:
        self._wish, self._endpoints, self._timeline, self._today = wish, endpoints, timeline, today
        self._signed_in = wish.session
        self.untried: list[str] = []
        self._why_not, self._remedy = NO_SIGN_IN, wish.how_to_sign_in
        self.ways: dict[str, Callable[[], None]] = {"graph": self.graph, "smtp": self.smtp, "ews": self.ews}

    @property
    def _needs_user(self) -> bool:
        server = self._server
        needing = {
            "graph": True,
            "smtp": self._wish.password is None,
            "ews": server.auth == "oauth",
        }
        return any(needing[way] for way in self._wish.ways)

    @property
    def _server(self) -> ews.Server:
        return self._wish.server or ews.Server("oauth", url=self._endpoints.ews, is_online=True)

    def secret(self) -> None:
        """The client secret, by a token for the application itself."""
        registration = self._wish.registration
        if registration is None or registration.secret is None:
            if not self._wish.ways:
                self._untried("secret", NO_SECRET, _GIVE_SECRET)
            return
        with self._timeline.way():
            self._timeline.take("secret", "client secret", lambda: self._accepted(registration), str)

    def _accepted(self, registration: Registration) -> str:
        caller = caller_of(token_by_secret(registration, self._endpoints))
        if caller.app_id.lower() != registration.client_id.lower():
            raise SignInFailed(f"The token is for application {caller.app_id}.", remedy="Check the client id.")
        return f"accepted for application {caller.app_id} in tenant {caller.tenant_id}"

    def sign_in(self) -> None:
        """The user's sign-in, where a way needs one."""
        sign_in = self._wish.sign_in
        if self._signed_in is not None or sign_in is None or not self._needs_user:
            return
        self._why_not, self._remedy = "The user's sign-in was refused.", ""
        with self._timeline.way():
            self._signed_in = self._timeline.take("sign-in", "user's sign-in", sign_in, lambda _: self._wish.user)

    def graph(self) -> None:
        """One mail by Microsoft Graph."""
        if self._signed_in is None:
            self._untried("graph", self._why_not, self._remedy)
            return
        letter = self._letter("Microsoft Graph")
        token = graph.send(self._timeline, self._signed_in, self._endpoints, letter)
        self._find("graph", letter, token)

    def smtp(self) -> None:
        """One mail by SMTP submission."""
        login: Password | Token
        if self._wish.password is not None:
            login = Password(self._wish.user, self._wish.password)
        elif self._signed_in is not None:
            login = submission.token_for_smtp(self._timeline, self._signed_in, self._endpoints, self._wish.user)
        else:
            remedy = self._remedy and f"{self._remedy} Or give an app password with --password-file."
            self._untried("smtp", self._why_not, remedy)
            return
        letter = self._letter("SMTP")
        submission.send(self._timeline, login, letter, self._endpoints)
        self._find("smtp", letter, "")

    def ews(self) -> None:
        """One mail by Exchange Web Services."""
        server, timeline = self._server, self._timeline
        login: Password | Token
        if server.auth in ("ntlm", "basic"):
            if self._wish.password is None:
                self._untried("ews", "No password was given.", "Give it with --password-file.")
                return
            login = Password(self._wish.server_user or self._wish.user, self._wish.password)
        elif server.auth == "oauth-app":
            registration = self._wish.registration
            if registration is None or registration.secret is None:
                self._untried("ews", NO_SECRET, _GIVE_SECRET)
                return
            scope = f"{self._resource}/.default"
            value = timeline.take(
                "ews", "token", lambda: token_by_secret(registration, self._endpoints, scope), graph.described
            )
            login = Token(self._wish.user, value)
        else:
            signed_in = self._signed_in
            if signed_in is None:
                self._untried("ews", self._why_not, self._remedy)
                return
            scope = f"{self._resource}/EWS.AccessAsUser.All"
            value = timeline.take("ews", "token", lambda: signed_in.token(scope), graph.described)
            login = Token(self._wish.user, value)
        ews.prove(
            timeline,
            server,
            login,
            self._letter("Exchange Web Services"),
            ca_file=self._endpoints.ca_file,
            today=self._today,
            seconds=self._wish.wait,
        )

    def _untried(self, way: str, reason: str, remedy: str) -> None:
        self.untried.append(way)
        self._timeline.skip(way, "client secret" if way == "secret" else "one mail", reason, remedy)

    @property
    def _resource(self) -> str:
        server = self._server
        if self._wish.server_resource:
            return self._wish.server_resource.rstrip("/")
        if server.is_online or server.url is None:
            return self._endpoints.exchange_resource
        return f"https://{urlsplit(server.url).hostname}"

    def _letter(self, way: str) -> Letter:
        return Letter.written(self._wish.user, self._wish.to or self._wish.user, way)

    def _find(self, way: str, letter: Letter, token: str) -> None:
        with self._reader(token) as reader:
            graph.find_again(self._timeline, way, letter, reader, self._wish.wait)

    @contextlib.contextmanager
    def _reader(self, token: str) -> Iterator[MailItems | None]:
        """Who may read: the caller that was named, else the user, if his token for Graph says so."""
        credential = self._wish.reader
        if credential is None:
            token = token or self._graph_token()
            if not READING & {permission.lower() for permission in told_by(token)[1]}:
                yield None
                return
            credential = GivenCredential(token, self._endpoints)
        with MailItems(credential, self._endpoints) as items:
            yield items

    def _graph_token(self) -> str:
        """The user's token for Microsoft Graph after a mail by SMTP; empty when there is none."""
        if self._signed_in is None:
            return ""
        with contextlib.suppress(SignInFailed):
            return self._signed_in.token(f"{self._endpoints.graph}/Mail.Send")
        return ""
