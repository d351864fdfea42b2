"""Reads a user's 2-Step Verification as his administrator does: a service account with domain-wide delegation.

Owns: tokens (google-auth), the requests, why something could not be read and what the administrator does then. Does not
own: what it means (``judge``). Each question asks for a token with its own scope, so that one that was not delegated
hides no other answer.

Sources: Admin SDK Directory API ``users.get`` and ``asps.list``; Cloud Identity Policy API ("Supported settings":
``security.two_step_verification_enrollment``, ``…_enforcement_factor``); "Using OAuth 2.0 for Server to Server
Applications" (errors of the token endpoint).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import requests
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from provision.errors import InvalidInput
from provision.google import guide
from provision.google.facts import Account, Unread
from provision.google.places import Google
from provision.settings.endpoints import unreachable

_AUTH = "https://www.googleapis.com/auth"
USERS = f"{_AUTH}/admin.directory.user.readonly"
SECURITY = f"{_AUTH}/admin.directory.user.security"
UNITS = f"{_AUTH}/admin.directory.orgunit.readonly"
POLICIES = f"{_AUTH}/cloud-identity.policies.readonly"
SCOPES = (USERS, SECURITY, UNITS, POLICIES)
"""What the administrator delegates; each is one question, and may be missing."""
_POLICY_FILTER = "setting.type.matches('security.two_step_verification.*')"
_ENROLLMENT = "settings/security.two_step_verification_enrollment"
_FACTOR = "settings/security.two_step_verification_enforcement_factor"
_KEYS_ALONE = frozenset({"PASSKEY_ONLY", "PASSKEY_PLUS_SECURITY_CODE", "PASSKEY_PLUS_IP_BOUND_SECURITY_CODE"})
_CREDENTIALS: Any = service_account.Credentials  # google-auth does not tell its types
_MAX_PAGES = 50
_TIMEOUT_SECONDS = 30.0


class _Missing(Exception):
    """A question that cannot be answered."""

    def __init__(self, unread: Unread, *, not_found: bool = False) -> None:
        super().__init__(unread.reason)
        self.unread = unread
        self.not_found = not_found


@dataclass(frozen=True)
class Key:
    """A service account's key, checked; ``repr`` shows nothing of it."""

    email: str
    client_id: str
    _info: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Key({self.email})"

    @classmethod
    def read(cls, path: Path) -> Key:
        """The key in a file, as Google Cloud's console downloads it.

        Raises:
            InvalidInput: no such file, no JSON, or not a service account's key.
        """
        remedy = (
            "Download a JSON key of the service account in the Google Cloud console: IAM & Admin, Service accounts."
        )
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"The key file {path} cannot be read: {error.strerror}.", remedy=remedy) from None
        except ValueError:
            raise InvalidInput(f"The key file {path} is not JSON.", remedy=remedy) from None
        if not isinstance(info, dict) or info.get("type") != "service_account":
            raise InvalidInput(f"The file {path} is not a service account's key.", remedy=remedy)
        try:
            _CREDENTIALS.from_service_account_info(info)
        except (ValueError, GoogleAuthError):
            raise InvalidInput(f"The key in {path} is incomplete or damaged.", remedy=remedy) from None
        return cls(str(info["client_email"]), str(info.get("client_id") or ""), info)

    def credentials(self, scope: tuple[str, ...], subject: str) -> Any:
        """google-auth's credentials, for a token that acts as the administrator."""
        return _CREDENTIALS.from_service_account_info(self._info, scopes=scope, subject=subject)


class _Session(requests.Session):
    """Trusts the given certificates also where the process's environment names others."""

    def __init__(self, ca_file: str | None) -> None:
        super().__init__()
        self._ca_file = ca_file

    def request(self, method: str, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        if self._ca_file is not None and options.get("verify") is None:
            options["verify"] = self._ca_file
        options.setdefault("timeout", _TIMEOUT_SECONDS)
        return super().request(method, url, *args, **options)


def read_account(google: Google, key: Key, admin: str, address: str) -> Account:
    """A user as the administrator sees him; what cannot be read says why.

    Args:
        google: where Google is.
        key: the service account's.
        admin: the administrator whom it acts for.
        address: the user's.

    Raises:
        Unreachable: Google does not answer, or its certificate is not trusted.
    """
    with _Session(google.ca_file) as session:
        return _Reader(google, key, admin, session).account(address)


class _Reader:
    def __init__(self, google: Google, key: Key, admin: str, session: _Session) -> None:
        self._google = google
        self._key = key
        self._admin = admin
        self._session = session

    def account(self, address: str) -> Account:
        account = Account(address)
        path = f"/admin/directory/v1/users/{quote(address, safe='@')}"
        try:
            user = self._get(self._google.directory, path, (USERS,))
        except _Missing as missing:
            if missing.not_found:
                gone = Unread(f"There is no user {address}.")
                return replace(account.unread(gone), exists=False)
            return account.unread(missing.unread)
        account = replace(
            account,
            exists=True,
            suspended=bool(user.get("suspended")),
            enrolled=bool(user.get("isEnrolledIn2Sv")),
            enforced=bool(user.get("isEnforcedIn2Sv")),
            unit=str(user.get("orgUnitPath") or "/"),
        )
        try:
            rows = self._get(self._google.directory, f"{path}/asps", (SECURITY,)).get("items") or []
            account = replace(account, app_passwords=len(rows))
        except _Missing as missing:
            account = replace(account, app_passwords=missing.unread)
        try:
            return self._with_policies(account)
        except _Missing as missing:
            return replace(account, allowed=missing.unread, only_security_keys=missing.unread)

    def _with_policies(self, account: Account) -> Account:
        """What the nearest organisational unit above the user says; Google's own defaults where none says anything."""
        units = [account.unit]
        while units[-1] != "/":
            units.append(units[-1].rpartition("/")[0] or "/")
        ids = {self._unit_id(unit): place for place, unit in enumerate(units)}
        nearest: dict[str, tuple[int, Mapping[str, Any]]] = {}
        for policy in self._policies():
            place = ids.get(str(policy.get("policyQuery", {}).get("orgUnit", "")).removeprefix("orgUnits/"))
            setting = policy.get("setting", {})
            name = str(setting.get("type", ""))
            if place is not None and (name not in nearest or place < nearest[name][0]):
                nearest[name] = (place, setting.get("value", {}))
        enrollment = nearest.get(_ENROLLMENT, (0, {}))[1].get("allowEnrollment", True)
        factor = nearest.get(_FACTOR, (0, {}))[1].get("allowedSignInFactorSet", "ALL")
        return replace(account, allowed=bool(enrollment), only_security_keys=factor in _KEYS_ALONE)

    def _unit_id(self, unit: str) -> str:
        path = f"/admin/directory/v1/customer/my_customer/orgunits/{quote(unit.strip('/'))}"
        return str(self._get(self._google.directory, path, (UNITS,)).get("orgUnitId", "")).removeprefix("id:")

    def _policies(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        token = ""
        for _ in range(_MAX_PAGES):
            query = {"filter": _POLICY_FILTER, "pageSize": "100", **({"pageToken": token} if token else {})}
            page = self._get(self._google.cloud_identity, f"/v1/policies?{urlencode(query)}", (POLICIES,))
            found += page.get("policies") or []
            token = str(page.get("nextPageToken") or "")
            if not token:
                break
        return found

    def _get(self, root: str, path: str, scopes: tuple[str, ...]) -> Mapping[str, Any]:
        """The JSON of one request.

        Raises:
            _Missing: refused, with the reason and what the administrator does.
            Unreachable: no answer.
        """
        credentials = self._key.credentials(scopes, self._admin)
        try:
            credentials.refresh(Request(session=self._session))
        except RefreshError as error:
            raise _Missing(self._token_refused(error, scopes)) from None
        except TransportError as error:
            raise unreachable("Google's token endpoint", error, ca_file=self._google.ca_file) from None
        headers = {"Authorization": f"Bearer {credentials.token}", "Accept": "application/json"}
        try:
            answer = self._session.get(f"{root}{path}", headers=headers)
        except requests.RequestException as error:
            raise unreachable(root, error, ca_file=self._google.ca_file) from None
        body = _json(answer)
        if answer.status_code >= 400:
            raise self._api_refused(answer.status_code, body, scopes)
        return body

    def _token_refused(self, error: RefreshError, scopes: tuple[str, ...]) -> Unread:
        told = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
        name, sentence = str(told.get("error", "")), str(told.get("error_description") or error.args[0])
        if name in {"unauthorized_client", "access_denied"}:
            return Unread(
                f"The service account may not act for {self._admin} with {_short(scopes)} ({name}).",
                f"The administrator delegates to client ID {self._key.client_id or self._key.email} these scopes: "
                f"{','.join(SCOPES)}",
                guide.ADMIN_DELEGATION_PAGE,
            )
        if "Invalid email or User ID" in sentence:
            return Unread(
                f"Google knows no active administrator {self._admin}.", "Correct --admin: the full address of a user."
            )
        if "JWT Signature" in sentence or "account not found" in sentence:
            return Unread(
                f"Google does not know the key of {self._key.email} (any more).",
                "Download a new JSON key of the service account.",
            )
        if "short-lived token" in sentence:
            return Unread("Google finds this machine's clock wrong.", "Set the clock and try again.")
        return Unread(f"Google gives no token: {sentence}", "Read the sentence; Google's words are its own.")

    def _api_refused(self, status: int, body: Mapping[str, Any], scopes: tuple[str, ...]) -> _Missing:
        error = body.get("error") if isinstance(body.get("error"), dict) else {}
        message = str(error.get("message") or f"HTTP {status}") if isinstance(error, dict) else f"HTTP {status}"
        rows = error.get("errors") if isinstance(error, dict) else None
        reason = str(rows[0].get("reason")) if isinstance(rows, list) and rows else ""
        if status == 404:
            return _Missing(Unread(message), not_found=True)
        if reason == "accessNotConfigured":
            return _Missing(
                Unread(
                    "The API is off in the service account's Google Cloud project.",
                    "Turn on Admin SDK API and Cloud Identity API in that project, and wait some minutes.",
                    "https://console.cloud.google.com/apis/library/admin.googleapis.com",
                )
            )
        if status == 403:
            return _Missing(
                Unread(
                    f"{self._admin} may not read this ({message}).",
                    "Name a super administrator of the user's own organisation with --admin, or give that account a "
                    f"role that may read users and security settings; asked for was {_short(scopes)}.",
                )
            )
        return _Missing(Unread(f"Google refuses the question: {message}", "Try again later."))


def _short(scopes: tuple[str, ...]) -> str:
    return ", ".join(scope.rpartition("/")[2] for scope in scopes)


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
