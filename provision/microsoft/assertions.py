"""The pipeline's own identity token, which Entra accepts in place of a secret ("Workload identity federation").

Each source is asked anew for every sign-in: such tokens live for minutes. The requests follow GitHub's "OpenID Connect
reference" and Azure Pipelines' ``oidctoken`` REST call, as go-azure-sdk's GitHub and ADO authorizers make them.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from provision.errors import SignInFailed
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import unreachable


def assertion(setting: CredentialSetting, audience: str) -> str:
    """A fresh identity token.

    Args:
        setting: where it comes from.
        audience: whom it is for (``Endpoints.token_exchange_audience``); only GitHub lets the asker choose.

    Raises:
        SignInFailed: the token file cannot be read, or the pipeline gives no token.
        Unreachable: the pipeline's token service does not answer.
    """
    if setting.oidc_token:
        return setting.oidc_token
    if setting.token_file is not None:
        try:
            return setting.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SignInFailed(
                f"The token file {setting.token_file} cannot be read.", remedy="Check AZURE_FEDERATED_TOKEN_FILE."
            ) from None
    if setting.token_source == "azure-devops":  # noqa: S105 - a source's name
        added = {"api-version": "7.1", "serviceConnectionId": setting.service_connection_id or ""}
        return _ask(setting, added, method="POST", answer="oidcToken")
    return _ask(setting, {"audience": audience}, method="GET", answer="value")


def _ask(setting: CredentialSetting, added: dict[str, str], *, method: str, answer: str) -> str:
    parts = urlsplit(setting.oidc_request_url or "")
    if parts.scheme != "https":
        raise SignInFailed(
            "The address of the pipeline's token service is not https.", remedy="Check the job's OIDC variables."
        )
    url = urlunsplit(parts._replace(query=urlencode(parse_qsl(parts.query) + list(added.items()))))
    request = urllib.request.Request(  # noqa: S310 - https was checked
        url,
        method=method,
        data=b"" if method == "POST" else None,
        headers={
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {setting.oidc_request_token}",
        },
    )
    where = f"https://{parts.hostname}"
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            return str(json.loads(reply.read(1_000_000))[answer])
    except urllib.error.HTTPError as error:
        error.close()
        raise SignInFailed(
            f"The pipeline's token service at {where} refuses (HTTP {error.code}).",
            remedy="Let the job ask for identity tokens (GitHub: permissions: id-token: write).",
        ) from None
    except OSError as error:
        raise unreachable(where, error) from None
    except (ValueError, KeyError, TypeError):
        raise SignInFailed(f"The pipeline's token service at {where} gives no token.") from None
