"""Where Microsoft Entra, Graph and Exchange Online are: one setting for the azuread plugin and for the SDKs.

Owns: the clouds' addresses and reading them from a metadata host, as the azuread plugin does (its ``metadataHost`` /
``ARM_METADATA_HOSTNAME`` and ``environment`` / ``ARM_ENVIRONMENT``). Does not own: tokens or Graph calls.

Addresses of the named clouds: "Microsoft Graph and Graph Explorer service root endpoints" (Microsoft Graph docs,
"National cloud deployments") and "National clouds" (Microsoft identity platform docs). Exchange Online: "Connect to
Exchange Online PowerShell" (its table of ``ExchangeEnvironmentName`` and hosts) and "How to set up a multifunction
device or application to send emails"; the hosts for SMTP of the national clouds were not read at a source.

A metadata host does not say where Exchange Online is. When what it gives out is a named cloud's Graph, the answer is
that cloud's; the local tenant answers for Exchange under its own address, and ``SMTP_ADDRESS`` names its SMTP port.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provision.errors import InvalidInput, ProvisionError, Unreachable
from provision.settings.retry_after import retry_after

METADATA_PATH = "/metadata/endpoints?api-version=2022-09-01"
"""The version that the azuread plugin asks for (go-azure-sdk, ``sdk/internal/metadata``)."""

SMTP_ADDRESS = "PROVISION_SMTP_ADDRESS"
"""Names ``host:port`` of SMTP submission beside a metadata host; a cloud known by name is never asked elsewhere."""

_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_MAX_METADATA_BYTES = 1_000_000
_BUSY = frozenset({429, 503})
_PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each further try at a metadata host that is busy; its Retry-After wins."""
_LONGEST_PAUSE = 30.0
"""A host that asks for more is not waited for: running again is as good."""


@dataclass(frozen=True)
class Endpoints:
    """The addresses of one cloud, none with a trailing slash."""

    login: str
    """Microsoft Entra's address, for example ``https://login.microsoftonline.com``."""
    graph: str
    """Microsoft Graph's address, for example ``https://graph.microsoft.com``."""
    resource_manager: str
    """Azure Resource Manager's address; only the Azure CLI asks it."""
    name: str
    """The cloud's own name, for messages."""
    metadata_host: str | None = None
    """``host[:port]`` that the addresses were read from; None for a cloud known by name."""
    environment: str = "public"
    """The azuread plugin's word for a cloud known by name; of no effect with ``metadata_host``."""
    ca_file: str | None = None
    """The certificate authorities to trust, in one PEM file; None for the machine's own."""
    exchange: str = "https://outlook.office365.com"
    """Exchange Online's address: the admin API and EWS are under it."""
    exchange_resource: str = "https://outlook.office365.com"
    """What a token for Exchange Online is for; with the local tenant, too, Microsoft's own name."""
    smtp_resource: str = "https://outlook.office.com"
    """What ``SMTP.Send`` belongs to ("Authenticate an IMAP, POP or SMTP connection using OAuth")."""
    smtp_host: str = "smtp.office365.com"
    """Where programs hand in mail by SMTP (client submission, STARTTLS)."""
    smtp_port: int = 587

    @property
    def is_local(self) -> bool:
        """Whether Entra and Graph are both on this machine (the local tenant)."""
        return all(_is_loopback(urlsplit(url).hostname or "") for url in (self.login, self.graph))

    @property
    def is_custom(self) -> bool:
        """Whether MSAL must not ask Microsoft about the authority (it knows Microsoft's own clouds only)."""
        return self.metadata_host is not None

    @property
    def graph_scope(self) -> str:
        """The scope that asks for every Graph permission the caller has."""
        return f"{self.graph}/.default"

    @property
    def exchange_scope(self) -> str:
        """The scope that asks for every Exchange Online permission the caller has."""
        return f"{self.exchange_resource}/.default"

    @property
    def smtp_scope(self) -> str:
        """The delegated permission to send by SMTP with OAuth; a token for Microsoft Graph does not carry it."""
        return f"{self.smtp_resource}/SMTP.Send"

    @property
    def ews(self) -> str:
        """Exchange Web Services' address."""
        return f"{self.exchange}/EWS/Exchange.asmx"

    @property
    def smtp_address(self) -> str:
        """``host:port`` of SMTP submission, for messages."""
        return f"{self.smtp_host}:{self.smtp_port}"

    @property
    def token_exchange_audience(self) -> str:
        """What Entra expects as ``aud`` of a federated token ("Workload identity federation considerations")."""
        return _TOKEN_EXCHANGE.get(self.environment, "api://AzureADTokenExchange")

    def admin_consent_url(self, tenant_id: str, client_id: str) -> str:
        """The page where an administrator consents ("Admin consent on the Microsoft identity platform")."""
        return f"{self.login}/{tenant_id}/adminconsent?client_id={client_id}"


_CLOUDS: dict[str, Endpoints] = {
    "public": Endpoints(
        "https://login.microsoftonline.com",
        "https://graph.microsoft.com",
        "https://management.azure.com",
        "AzureCloud",
        environment="public",
    ),
    "usgovernment": Endpoints(
        "https://login.microsoftonline.us",
        "https://graph.microsoft.us",
        "https://management.usgovcloudapi.net",
        "AzureUSGovernment",
        environment="usgovernment",
        exchange="https://outlook.office365.us",
        exchange_resource="https://outlook.office365.us",
        smtp_resource="https://outlook.office365.us",
        smtp_host="smtp.office365.us",
    ),
    "dod": Endpoints(
        "https://login.microsoftonline.us",
        "https://dod-graph.microsoft.us",
        "https://management.usgovcloudapi.net",
        "AzureUSGovernment (DoD)",
        environment="usgovernmentl5",
        exchange="https://webmail.apps.mil",
        exchange_resource="https://webmail.apps.mil",
        smtp_resource="https://webmail.apps.mil",
        smtp_host="outlook-dod.office365.us",
    ),
    "china": Endpoints(
        "https://login.chinacloudapi.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "AzureChinaCloud",
        environment="china",
        exchange="https://partner.outlook.cn",
        exchange_resource="https://partner.outlook.cn",
        smtp_resource="https://partner.outlook.cn",
        smtp_host="smtp.partner.outlook.cn",
    ),
}
_TOKEN_EXCHANGE = {
    "usgovernment": "api://AzureADTokenExchangeUSGov",
    "usgovernmentl5": "api://AzureADTokenExchangeUSGov",
    "china": "api://AzureADTokenExchangeChina",
}
_ALIASES = {"global": "public", "usgovernmentl4": "usgovernment", "usgovernmentl5": "dod"}


def of_cloud(name: str, *, ca_file: str | None = None) -> Endpoints:
    """The addresses of a cloud known by name.

    Args:
        name: public, usgovernment, dod or china; the azuread plugin's other words (global, usgovernmentl4,
            usgovernmentl5) mean the same here.
        ca_file: certificate authorities to trust instead of the machine's, one PEM file.

    Raises:
        InvalidInput: no such cloud.
    """
    key = _ALIASES.get(name.lower(), name.lower())
    if key not in _CLOUDS:
        raise InvalidInput(
            f"There is no cloud environment {name!r}.", remedy=f"Use one of {', '.join([*_CLOUDS, *_ALIASES])}."
        )
    return replace(_CLOUDS[key], ca_file=ca_file)


def resolve(
    *,
    metadata_host: str | None = None,
    environment: str | None = None,
    ca_file: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Endpoints:
    """The addresses to use: the arguments (stack configuration), else ``ARM_METADATA_HOSTNAME``/``ARM_ENVIRONMENT``.

    A metadata host wins over a cloud's name, as in the azuread plugin.

    Args:
        metadata_host: ``azuread:metadataHost``, ``host[:port]``.
        environment: ``azuread:environment``.
        ca_file: certificate authorities to trust, one PEM file.
        environ: the process's environment.

    Raises:
        InvalidInput: a host or a cloud name that cannot be.
        Unreachable: the metadata host does not answer, its certificate is not trusted, or the answer is not metadata.
    """
    host = metadata_host or environ.get("ARM_METADATA_HOSTNAME", "")
    if host:
        return read_metadata(host, ca_file=ca_file, environ=environ)
    return of_cloud(environment or environ.get("ARM_ENVIRONMENT") or "public", ca_file=ca_file)


def read_metadata(
    host: str,
    *,
    ca_file: str | None = None,
    environ: Mapping[str, str] = os.environ,
    timeout: float = 10.0,
    pause: Callable[[float], None] = time.sleep,
) -> Endpoints:
    """The addresses that a metadata host gives out.

    Args:
        host: ``host[:port]``; ``https://`` is added, as the azuread plugin does.
        ca_file: certificate authorities to trust; without it ``SSL_CERT_FILE``, then ``REQUESTS_CA_BUNDLE``, then
            the machine's.
        environ: the process's environment.
        timeout: seconds for the connection and for each read.
        pause: waits a number of seconds.

    Raises:
        InvalidInput: not ``host[:port]``, or the CA file cannot be read.
        Unreachable: no answer, a certificate that is not trusted, or an answer that is not metadata.
    """
    if not _HOST.fullmatch(host):
        raise InvalidInput(
            f"The metadata host {host!r} is not of the form host or host:port.",
            remedy="Give it without https:// and without a path, for example localhost:8443.",
        )
    url = f"https://{host}{METADATA_PATH}"
    trusted = ca_file or next((environ[name] for name in _CA_VARIABLES if environ.get(name)), None)
    context = tls_context(trusted)
    try:
        for wait in (*_PAUSES, None):
            try:
                with urllib.request.urlopen(url, timeout=timeout, context=context) as answer:
                    document = json.loads(answer.read(_MAX_METADATA_BYTES))
                break
            except urllib.error.HTTPError as error:
                error.close()
                seconds = retry_after(error.headers) or wait
                if error.code not in _BUSY or wait is None or seconds is None or seconds > _LONGEST_PAUSE:
                    raise Unreachable(
                        f"https://{host} answers HTTP {error.code} where its endpoints should be.",
                        remedy="It is busy: run again in some minutes." if error.code in _BUSY else "",
                    ) from None
                pause(seconds)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise unreachable(f"https://{host}", error, ca_file=trusted) from None
    except ValueError:
        raise Unreachable(f"https://{host} does not answer with the endpoints of a cloud.") from None
    return _with_exchange(_from_metadata(document, host, trusted), host, environ)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """What a connection trusts: the CA file's authorities alone, or the machine's.

    Raises:
        InvalidInput: the file cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise InvalidInput(
            f"The certificate file {ca_file} cannot be used: {error.strerror or 'it holds no certificate'}.",
            remedy="Name a readable PEM file in SSL_CERT_FILE.",
        ) from None


def _from_metadata(document: Any, host: str, ca_file: str | None) -> Endpoints:
    try:
        login = document["authentication"]["loginEndpoint"]
        graph, manager, name = document["microsoftGraphResourceId"], document["resourceManager"], document["name"]
    except (KeyError, TypeError) as error:
        raise Unreachable(f"The endpoints given by https://{host} lack {error}.") from None
    for url in (login, graph, manager):
        if not isinstance(url, str) or urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
            raise Unreachable(f"The endpoints given by https://{host} hold an address that is not https.")
    return Endpoints(
        login.rstrip("/"), graph.rstrip("/"), manager.rstrip("/"), str(name), metadata_host=host, ca_file=ca_file
    )


def _with_exchange(found: Endpoints, host: str, environ: Mapping[str, str]) -> Endpoints:
    """The same with Exchange Online's addresses: a named cloud's by its Graph, else those of the host itself."""
    named = next((cloud for cloud in _CLOUDS.values() if cloud.graph == found.graph), None)
    if named is not None:
        return replace(
            found,
            exchange=named.exchange,
            exchange_resource=named.exchange_resource,
            smtp_resource=named.smtp_resource,
            smtp_host=named.smtp_host,
        )
    name = urlsplit(f"https://{host}").hostname or host
    smtp_host, smtp_port = _smtp_address(environ.get(SMTP_ADDRESS) or f"{name}:587")
    return replace(found, exchange=f"https://{host}", smtp_host=smtp_host, smtp_port=smtp_port)


def _smtp_address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"smtp://{text}")
        if _HOST.fullmatch(text) and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise InvalidInput(
        f"{SMTP_ADDRESS} is {text!r}, which is not of the form host:port.",
        remedy="Take it from provision sandbox env, or unset it.",
    )


def unreachable(where: str, error: BaseException, *, ca_file: str | None = None) -> ProvisionError:
    """One sentence for a failed connection: the certificate is not trusted, no such host, refused, or too slow.

    Args:
        where: the address, for the message.
        error: what the HTTP client raised; its causes are looked at too.
        ca_file: the CA file in use, for the message.
    """
    text = " ".join(str(link) for link in _causes(error))
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        trust = f"the certificates in {Path(ca_file)}" if ca_file else "this machine's certificates"
        return Unreachable(
            f"The TLS certificate of {where} is not trusted by {trust}.",
            remedy="Set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to the PEM file of its authority.",
        )
    for needle, sentence in _CONNECTION_FAILURES:
        if needle in text:
            return Unreachable(f"{where} cannot be reached: {sentence}.", remedy="Check the network, a proxy or VPN.")
    if any(isinstance(link, TimeoutError) for link in _causes(error)):
        return Unreachable(f"{where} does not answer in time.", remedy="Check the network, a proxy or VPN.")
    return Unreachable(f"{where} cannot be reached.", remedy="Check the network, a proxy or VPN.")


_CONNECTION_FAILURES = (
    ("Connection refused", "the connection is refused"),
    ("Name or service not known", "no such host"),
    ("nodename nor servname", "no such host"),
    ("getaddrinfo failed", "no such host"),
    ("Temporary failure in name resolution", "the name cannot be looked up"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("Connection reset", "the connection is cut"),
    ("timed out", "it does not answer in time"),
)


def _causes(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        reason = getattr(link, "reason", None)
        link = reason if isinstance(reason, BaseException) else link.__cause__ or link.__context__
    return links


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
