"""A GitHub Actions secret of a repository, of one of its environments, or of an organization.

The address is ``github:OWNER/REPO#NAME``, ``github:OWNER/REPO@ENVIRONMENT#NAME`` or ``github:ORG#NAME``; in an
environment's name other characters are written as in a URL (``%20``). ``GITHUB_API_URL`` names another server than
github.com, as in a workflow. The sign-in is a token in ``GITHUB_TOKEN`` or ``GH_TOKEN``, or a GitHub App: its id in
``GITHUB_APP_ID`` and its private key in the private file that ``GITHUB_APP_PRIVATE_KEY_FILE`` names. A workflow's own
token cannot write secrets. GitHub never shows a secret's value, only when it was written.

Sources: "REST API endpoints for GitHub Actions Secrets", "Secrets reference", "Rate limits for the REST API",
"Troubleshooting the REST API", "Generating a JSON Web Token (JWT) for a GitHub App" (GitHub Docs).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.secrets.files import read_key_file
from provision.secrets.https import Answer, ask
from provision.secrets.sinks import Delivery, Stored
from provision.settings.retry_after import retry_after

RIGHTS = (
    'For a repository: a fine-grained token or a GitHub App with the repository permission "Secrets: read and write"; '
    'for an environment "Environments: read and write"; for an organization the organization permission "Secrets: read '
    "and write\". A classic token needs the scope repo, for an organization admin:org. A workflow's own GITHUB_TOKEN "
    "cannot be given any of these."
)
WITHOUT_CERTIFICATES = ""

_API = "https://api.github.com"
_API_VERSION = "2022-11-28"
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_REPOSITORY = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_PAGES = 100
_TOKEN_SECONDS = 540
"""Of the App's own token; GitHub refuses more than ten minutes."""


@dataclass(frozen=True)
class Place:
    """Whose secrets they are, and what the REST API calls them."""

    owner: str
    repository: str = ""
    environment: str = ""

    @property
    def secrets_path(self) -> str:
        """The collection's path."""
        if not self.repository:
            return f"/orgs/{self.owner}/actions/secrets"
        repository = f"/repos/{self.owner}/{self.repository}"
        if not self.environment:
            return f"{repository}/actions/secrets"
        return f"{repository}/environments/{quote(self.environment, safe='')}/secrets"

    @property
    def installation_path(self) -> str:
        """Where an App finds its installation."""
        return (
            f"/repos/{self.owner}/{self.repository}/installation"
            if self.repository
            else f"/orgs/{self.owner}/installation"
        )

    @property
    def permission(self) -> str:
        """The one permission that an App's token is asked for."""
        if not self.repository:
            return "organization_secrets"
        return "environments" if self.environment else "secrets"

    @property
    def scope(self) -> str:
        """What a classic token needs."""
        return "repo" if self.repository else "admin:org"

    def __str__(self) -> str:
        place = f"{self.owner}/{self.repository}" if self.repository else f"the organization {self.owner}"
        return f"the environment {self.environment} of {place}" if self.environment else place


@dataclass(frozen=True)
class GitHubSecret:
    """One secret."""

    address: str
    place: Place
    name: str
    environ: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        """Reads the public key and the secret's date, which prove the way, the sign-in and the right to read.

        GitHub has no dry run of a write; of a classic token it tells the scopes, which are looked at.
        """
        line = self._line()
        line.public_key()
        scopes = line.ask("GET", f"/{self.name}", absent=True).headers.get("x-oauth-scopes")
        if scopes and self.place.scope not in re.split(r",\s*", scopes):
            raise NotPermitted(
                f"The token may not write the secrets of {self.place}: it lacks the scope {self.place.scope}.",
                remedy=RIGHTS,
            )

    def stored(self) -> Stored | None:
        """When the secret was last written; None when it is not there."""
        line = self._line()
        answer = line.ask("GET", f"/{self.name}", absent=True)
        if answer.status == 404:
            line.public_key()  # GitHub answers the same for what one may not see
            return None
        return Stored(changed=str(_member(answer, "updated_at")))

    def write(self, delivery: Delivery) -> None:
        """Encrypts the value for the place's public key and stores it; who may use an organization's secret stays."""
        from nacl.encoding import Base64Encoder
        from nacl.public import PublicKey, SealedBox

        line = self._line()
        before = line.ask("GET", f"/{self.name}", absent=True)
        _wait_for_another_second(before)
        key, key_id = line.public_key()
        try:
            box = SealedBox(PublicKey(key.encode(), Base64Encoder))
        except (ValueError, TypeError):
            raise _speaks_otherwise(line.api) from None
        sealed = box.encrypt(delivery.value.encode(), Base64Encoder).decode()
        body: dict[str, Any] = {"encrypted_value": sealed, "key_id": key_id}
        if not self.place.repository:
            body |= self._visibility(line, before)
        line.ask("PUT", f"/{self.name}", body=body)

    def remove(self) -> None:
        """Deletes the secret; nothing when it is not there."""
        if self.stored() is not None:
            self._line().ask("DELETE", f"/{self.name}", absent=True)

    def _visibility(self, line: _Line, before: Answer) -> dict[str, Any]:
        """Which repositories may use an organization's secret: as before; those that are not public for a new one."""
        if before.status == 404:
            return {"visibility": "private"}
        visibility = _member(before, "visibility")
        if visibility != "selected":
            return {"visibility": visibility}
        ids: list[int] = []
        for page in range(1, _MAX_PAGES):
            found = _member(line.ask("GET", f"/{self.name}/repositories?per_page=100&page={page}"), "repositories")
            ids += [repository["id"] for repository in found]
            if len(found) < 100:
                break
        return {"visibility": "selected", "selected_repository_ids": ids}

    def _line(self) -> _Line:
        return _Line(_api_url(self.environ), self.place, self.environ)


class _Line:
    """Requests about the secrets of one place, with one token."""

    def __init__(self, api: str, place: Place, environ: Mapping[str, str]) -> None:
        self.api = api
        self._place = place
        self._environ = environ
        self._token = environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN") or self._app_token()

    def ask(self, method: str, path: str, *, body: object = None, absent: bool = False) -> Answer:
        """One request below the place's secrets; ``absent`` lets a 404 through."""
        answer = self._send(method, f"{self._place.secrets_path}{path}", self._token, body)
        if answer.is_success or (absent and answer.status == 404):
            return answer
        raise self._refused(answer)

    def public_key(self) -> tuple[str, str]:
        """The key that values are encrypted for, and its id."""
        answer = self.ask("GET", "/public-key")
        return str(_member(answer, "key")), str(_member(answer, "key_id"))

    def _send(self, method: str, path: str, token: str, body: object = None) -> Answer:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": _API_VERSION,
        }
        return ask(method, f"{self.api}{path}", environ=self._environ, headers=headers, body=body)

    def _app_token(self) -> str:
        """A token for an hour, of the App's installation at the place, for its secrets alone.

        Raises:
            SignInFailed: there is no sign-in at all, or the App is not known or not installed there.
        """
        app, file = self._environ.get("GITHUB_APP_ID", ""), self._environ.get("GITHUB_APP_PRIVATE_KEY_FILE", "")
        if not app or not file:
            raise SignInFailed(
                f"There is no sign-in to {urlsplit(self.api).netloc}.",
                remedy="Set GITHUB_TOKEN, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY_FILE.",
            )
        proof = _app_proof(app, read_key_file(Path(file), "GITHUB_APP_PRIVATE_KEY_FILE"))
        found = self._send("GET", self._place.installation_path, proof)
        if found.status == 404:
            raise SignInFailed(
                f"The GitHub App {app} is not installed at {self._place}.",
                remedy="Install it there, or correct the address.",
            )
        if not found.is_success:
            raise self._refused(found)
        path = f"/app/installations/{_member(found, 'id')}/access_tokens"
        wanted: dict[str, Any] = {"permissions": {self._place.permission: "write"}}
        if self._place.repository:
            wanted["repositories"] = [self._place.repository]
        made = self._send("POST", path, proof, wanted)
        if made.status == 422:
            raise NotPermitted(
                f"The GitHub App {app} has no permission to write the secrets of {self._place}.", remedy=RIGHTS
            )
        if not made.is_success:
            raise self._refused(made)
        return str(_member(made, "token"))

    def _refused(self, answer: Answer) -> ProvisionError:
        """The sentence for a refusal. GitHub's own words are told: it never gets the value unencrypted."""
        status, server = answer.status, urlsplit(self.api).netloc
        said = _said(answer)
        if status in (403, 429) and _is_rate_limit(answer, said):
            return Unreachable(
                f"{server} takes no further request for now{said}.", remedy=f"Run again {_when(answer)}."
            )
        if status == 401:
            return SignInFailed(f"{server} does not accept the sign-in{said}.", remedy="Make another token.")
        if status == 403 and answer.headers.get("x-github-sso", "").startswith("required"):
            return NotPermitted(
                f"{server} wants the token to be authorized for single sign-on of {self._place.owner}.",
                remedy="Authorize it in your GitHub settings, Developer settings, beside the token (Configure SSO).",
            )
        if status == 403:
            return NotPermitted(f"{server} refuses the secrets of {self._place}{said}.", remedy=RIGHTS)
        if status == 404:
            return NotPermitted(
                f"{server} shows no secrets of {self._place}: it is not there, or the token may not see it.",
                remedy=f"Check the address. {RIGHTS}",
            )
        if answer.is_redirect:
            return InvalidInput(f"{self._place} has moved on {server}.", remedy="Use its new name in the address.")
        if status in (400, 409, 422):
            return ProvisionError(f"{server} does not take the secret: HTTP {status}{said}.", remedy="Run again.")
        if answer.is_busy:
            return Unreachable(f"{server} is out of order: HTTP {status}.", remedy="Run again.")
        return _speaks_otherwise(self.api)


def _app_proof(app: str, pem: str) -> str:
    """The App's own token, signed with its private key."""
    import jwt

    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + _TOKEN_SECONDS, "iss": app}  # a minute for a clock that is ahead
    try:
        return jwt.encode(claims, pem, algorithm="RS256")
    except (jwt.PyJWTError, ValueError, TypeError):
        raise InvalidInput(
            "The file named by GITHUB_APP_PRIVATE_KEY_FILE holds no RSA private key.",
            remedy="Make a key on the App's page and name the .pem file that it gives you.",
        ) from None


def _member(answer: Answer, name: str) -> Any:
    document = answer.document
    if not isinstance(document, dict) or document.get(name) is None:
        raise Unreachable("The server does not answer as GitHub does.", remedy="Check GITHUB_API_URL.")
    return document[name]


def _said(answer: Answer) -> str:
    document = answer.document
    message = document.get("message") if isinstance(document, dict) else None
    line = message.strip().split("\n")[0].rstrip(".") if isinstance(message, str) else ""
    return f" ({line[:160]})" if line and line.isprintable() else ""


def _is_rate_limit(answer: Answer, said: str) -> bool:
    spent = answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status == 429 or spent or "retry-after" in answer.headers or "rate limit" in said.lower()


def _when(answer: Answer) -> str:
    seconds, reset = retry_after(answer.headers), answer.headers.get("x-ratelimit-reset", "")
    if seconds is not None:
        return f"in {seconds:.0f} seconds"
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return f"after {datetime.fromtimestamp(int(reset), UTC):%H:%M} UTC"
    return "in some minutes"


def _wait_for_another_second(before: Answer) -> None:
    """GitHub's dates are of whole seconds; a write is only seen when the one before was in another second."""
    if before.status == 404:
        return
    try:
        written = datetime.fromisoformat(str(_member(before, "updated_at")))
        now = parsedate_to_datetime(before.headers.get("date", ""))
        passed = (now - written).total_seconds()
    except (ValueError, TypeError):
        return
    if abs(passed) < 1:
        time.sleep(1.0)


def _speaks_otherwise(api: str) -> Unreachable:
    return Unreachable(f"{urlsplit(api).netloc} does not answer as GitHub does.", remedy="Check GITHUB_API_URL.")


def _api_url(environ: Mapping[str, str]) -> str:
    url = (environ.get("GITHUB_API_URL") or _API).rstrip("/")
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.hostname and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        plain = False
    if not plain:
        raise InvalidInput(
            "GITHUB_API_URL is not an https address.", remedy="For example https://github.example.com/api/v3"
        )
    return url


def open_sink(rest: str, environ: Mapping[str, str]) -> GitHubSecret:
    """The sink of ``OWNER/REPO#NAME``, ``OWNER/REPO@ENVIRONMENT#NAME`` or ``ORG#NAME``.

    Raises:
        InvalidInput: it is none of these, or GitHub takes no secret of that name.
    """
    import nacl.public  # noqa: F401 - a missing library is said before anything is made

    where, _, name = rest.partition("#")
    repository, at, environment = where.partition("@")
    owner, slash, repo = repository.partition("/")
    place = Place(owner.lower(), repo.lower(), unquote(environment))
    known = _OWNER.fullmatch(owner) and (not slash or _REPOSITORY.fullmatch(repo))
    if not known or (at and not (slash and environment and place.environment.isprintable())):
        raise InvalidInput(
            f"{where!r} is no repository, no environment of one and no organization.",
            remedy="For example github:my-org/my-repo#MAIL_CLIENT_SECRET or github:my-org/my-repo@production#NAME",
        )
    if not _NAME.fullmatch(name) or name.upper().startswith("GITHUB_"):
        raise InvalidInput(
            f"GitHub takes no secret of the name {name!r}.",
            remedy="Use letters, digits and _, no digit first and not GITHUB_, for example MAIL_CLIENT_SECRET.",
        )
    shown = f"{place.owner}/{place.repository}" if slash else place.owner
    shown += f"@{quote(place.environment, safe='')}" if at else ""
    return GitHubSecret(f"github:{shown}#{name.upper()}", place, name.upper(), environ)
