"""A CI/CD variable of a GitLab project or group, masked in job logs.

The address is ``gitlab:group/project#KEY`` (or the project's number), ``gitlab:groups/group/subgroup#KEY`` for a group.
Before ``#`` may stand ``?environment_scope=production`` (``*`` without it), ``protected=true`` (only pipelines of
protected branches and tags get it) and ``hidden=true`` (GitLab never shows the value again; only for a new variable,
from GitLab 17.4), joined by ``&``. ``CI_API_V4_URL`` names another server than gitlab.com, as in a pipeline. The
sign-in is an access token in ``GITLAB_TOKEN``. A pipeline's own ``CI_JOB_TOKEN`` may not touch variables.

The value is stored raw, so that no ``$`` in it is expanded. GitLab masks values of at least 8 characters from letters,
digits and ``_+=/@:.~-``: Entra's secrets qualify. Which client secret it is stands in the variable's description.

Sources: "Project-level CI/CD variables API", "Group-level variables API", "GitLab CI/CD job token" (GitLab Docs);
``Ci::Maskable`` and ``API::Ci::Variables`` of GitLab's source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from provision.errors import InvalidInput, NotDelivered, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.secrets.https import Answer, ask
from provision.secrets.sinks import Delivery, Stored

RIGHTS = (
    "A project access token (for a group: a group access token) with the role Maintainer (Owner for a group) and the "
    "scope api; a person's token with the same does too. A pipeline's CI_JOB_TOKEN cannot be given this right."
)
WITHOUT_CERTIFICATES = "GitLab masks no value of several lines in its job logs."

_API = "https://gitlab.com/api/v4"
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PROJECT = re.compile(rf"{_SEGMENT}(/{_SEGMENT})+|[1-9][0-9]*")
_GROUP = re.compile(rf"groups/(?P<path>{_SEGMENT}(/{_SEGMENT})*)")
"""``groups`` is a name that no namespace can have ("Reserved project and group names")."""
_KEY = re.compile(r"[A-Za-z0-9_]{1,255}")
_SCOPE = re.compile(r"[A-Za-z0-9_/${}. *-]{1,255}")
_MARK = re.compile(r"\s*\[client secret ([^\]\s]{1,128})\]")
_MAX_DESCRIPTION = 255


@dataclass(frozen=True)
class GitLabVariable:
    """One variable in one scope."""

    address: str
    owner: str
    """``projects/ID`` or ``groups/ID``, as the API writes it."""
    key: str
    scope: str
    options: Mapping[str, bool]
    """``protected`` and ``hidden``, where the address says so."""
    environ: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        """Reads the variable, which takes the role that writing takes, and looks whether the token may write."""
        token = self._ask("GET", f"{self._api}/personal_access_tokens/self")
        scopes = _object(token).get("scopes") if token.is_success else None  # an OAuth token has no such page
        if isinstance(scopes, list) and "api" not in scopes:
            raise NotPermitted(f"The token may not write to {self._where}: it lacks the scope api.", remedy=RIGHTS)
        found = self._read()
        if found is not None and self.options.get("hidden") and found.get("hidden") is False:
            raise InvalidInput(
                f"The variable {self.key} of {self._where} is there and not hidden; GitLab hides only new ones.",
                remedy="Delete it in GitLab, or take hidden=true out of the address.",
            )

    def stored(self) -> Stored | None:
        """The value, where GitLab shows it, and which client secret it is; None when the variable is not there."""
        found = self._read()
        if found is None:
            return None
        value, mark = found.get("value"), _MARK.search(str(found.get("description") or ""))
        return Stored(value if isinstance(value, str) else None, mark[1] if mark else None)

    def write(self, delivery: Delivery) -> None:
        """Sets the value, or makes the variable; everything else of one that is there stays, but it becomes masked.

        Raises:
            NotDelivered: GitLab cannot mask or hide the value.
        """
        former = self._read()
        text = _MARK.sub("", str((former or {}).get("description") or "")).strip()
        mark = f"[client secret {delivery.key_id}]"
        description = f"{text[: _MAX_DESCRIPTION - len(mark) - 1]} {mark}".strip()
        body: dict[str, Any] = {"value": delivery.value, "masked": True, "raw": True, "description": description}
        if "protected" in self.options:
            body["protected"] = self.options["protected"]
        if former is not None:
            self._require(self._ask("PUT", self._url, body), delivery.value)
            return
        body |= {"key": self.key, "environment_scope": self.scope, "variable_type": "env_var"}
        if self.options.get("hidden"):
            body["masked_and_hidden"] = True
        made = self._require(
            self._ask("POST", f"{self._api}/{self.owner}/variables", body, repeat=False), delivery.value
        )
        if self.options.get("hidden") and made.get("hidden") is not True:
            raise NotDelivered(
                f"This GitLab does not hide variables: {self.key} of {self._where} is masked only.",
                remedy="Take hidden=true out of the address; GitLab hides variables from 17.4.",
            )

    def remove(self) -> None:
        """Deletes the variable in this scope, when it is marked as a client secret of ours."""
        found = self.stored()
        if found is None or found.key_id is None:
            return
        answer = self._ask("DELETE", self._url)
        if not answer.is_success and not _is_absent(answer):
            raise self._refused(answer)

    @property
    def _where(self) -> str:
        return self.address.removeprefix("gitlab:").partition("?")[0].partition("#")[0]

    @property
    def _api(self) -> str:
        return _api_url(self.environ)

    @property
    def _url(self) -> str:
        query = urlencode({"filter[environment_scope]": self.scope})
        return f"{self._api}/{self.owner}/variables/{self.key}?{query}"

    def _read(self) -> Mapping[str, Any] | None:
        answer = self._ask("GET", self._url)
        return None if _is_absent(answer) else self._require(answer)

    def _require(self, answer: Answer, value: str = "") -> Mapping[str, Any]:
        if not answer.is_success:
            raise self._refused(answer, value)
        found = _object(answer)
        if found.get("key") != self.key:
            raise self._speaks_otherwise()
        if found.get("environment_scope", self.scope) != self.scope:
            raise NotDelivered(
                f"GitLab answers with {self.key} of another scope than {self.scope!r}.",
                remedy="This edition or version has no such scopes there; leave environment_scope out.",
            )
        return found

    def _ask(self, method: str, url: str, body: object = None, *, repeat: bool = True) -> Answer:
        token = self.environ.get("GITLAB_TOKEN", "")
        if not token:
            job = " A pipeline's CI_JOB_TOKEN may not touch variables." if self.environ.get("CI_JOB_TOKEN") else ""
            raise SignInFailed(
                f"There is no sign-in to {urlsplit(url).netloc}.", remedy=f"Set GITLAB_TOKEN.{job} {RIGHTS}"
            )
        # PRIVATE-TOKEN takes access tokens alone; this header takes them and OAuth tokens ("REST API authentication").
        headers = {"Authorization": f"Bearer {token}"}
        return ask(method, url, environ=self.environ, headers=headers, body=body, repeat=repeat)

    def _refused(self, answer: Answer, value: str = "") -> ProvisionError:
        """The sentence for a refusal; GitLab's own words only when the value is not among them."""
        status, server = answer.status, urlsplit(self._api).netloc
        words = _words(answer)
        said = f" ({words})" if words and (not value or value not in words) else ""
        if status == 401:
            return SignInFailed(f"{server} does not accept the sign-in{said}.", remedy="Make another token.")
        if status == 403:
            return NotPermitted(f"{server} refuses the variables of {self._where}{said}.", remedy=RIGHTS)
        if status == 404:
            return NotPermitted(
                f"{server} shows no {self._where}: it is not there, or the token may not see it.",
                remedy=f"Check the address. {RIGHTS}",
            )
        if answer.is_redirect:
            return InvalidInput(
                f"{server} leads from {self._where} to another address, which is not followed.",
                remedy="Use the new name of the project, and in CI_API_V4_URL the server's own address.",
            )
        if status in (400, 409, 422):
            return NotDelivered(
                f"{server} does not take the variable {self.key} of {self._where}: HTTP {status}{said}.",
                remedy="Look at the variable in GitLab (Settings, CI/CD).",
            )
        if answer.is_busy:
            return Unreachable(f"{server} is overloaded: HTTP {status}.", remedy="Run again.")
        return self._speaks_otherwise()

    def _speaks_otherwise(self) -> Unreachable:
        return Unreachable(
            f"{urlsplit(self._api).netloc} does not answer as GitLab does.", remedy="Check CI_API_V4_URL."
        )


def _object(answer: Answer) -> dict[str, Any]:
    document = answer.document
    return document if isinstance(document, dict) else {}


def _is_absent(answer: Answer) -> bool:
    """Whether the variable is missing in a place that can be seen ("404 Variable Not Found", "404 GroupVariable …")."""
    return answer.status == 404 and str(_object(answer).get("message", "")).endswith("Variable Not Found")


def _words(answer: Answer) -> str:
    """``message`` is a sentence or, for each field, a list of them; OAuth's refusals have ``error`` instead."""
    told = _object(answer)
    message = told.get("message") or told.get("error_description") or told.get("error")
    if isinstance(message, dict):
        message = "; ".join(
            f"{name} {', '.join(map(str, why))}" for name, why in message.items() if isinstance(why, list)
        )
    line = str(message or "").strip().rstrip(".")
    return line[:160] if line.isprintable() else ""


def _api_url(environ: Mapping[str, str]) -> str:
    url = (environ.get("CI_API_V4_URL") or _API).rstrip("/")
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.hostname and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        plain = False
    if not plain:
        raise InvalidInput(
            "CI_API_V4_URL is not an https address.", remedy="For example https://gitlab.example.com/api/v4"
        )
    return url


def open_sink(rest: str, environ: Mapping[str, str]) -> GitLabVariable:
    """The sink of ``group/project?environment_scope=…#KEY`` or ``groups/group#KEY``.

    Raises:
        InvalidInput: it is neither, or GitLab takes no variable of that name or scope.
    """
    where, _, key = rest.partition("#")
    path, _, query = where.partition("?")
    group, project = _GROUP.fullmatch(path), _PROJECT.fullmatch(path)
    if group is None and project is None:
        raise InvalidInput(
            f"{path!r} is neither a GitLab project nor a group.",
            remedy="For example gitlab:my-group/my-project#MAIL_CLIENT_SECRET or gitlab:groups/my-group#NAME",
        )
    if not _KEY.fullmatch(key):
        raise InvalidInput(
            f"GitLab takes no variable of the name {key!r}.", remedy="Use letters, digits and _, at most 255."
        )
    given = dict(parse_qsl(query, keep_blank_values=True))
    scope = given.pop("environment_scope", "*").strip()
    flags = {name: value == "true" for name, value in given.items()}
    known = set(given) <= {"protected", "hidden"} and set(given.values()) <= {"true", "false"}
    if not known or not _SCOPE.fullmatch(scope):
        raise InvalidInput(
            f"{query!r} does not say what kind of variable it is.",
            remedy="For example ?environment_scope=production&protected=true&hidden=true",
        )
    options = {} if scope == "*" else {"environment_scope": scope}
    options |= dict(sorted(given.items()))
    shown = f"{path}?{urlencode(options, safe='/*')}" if options else path
    owner = f"groups/{quote(group['path'], safe='')}" if group else f"projects/{quote(path, safe='')}"
    return GitLabVariable(f"gitlab:{shown}#{key}", owner, key, scope, flags, environ)
