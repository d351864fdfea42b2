"""Journals in Azure Blob Storage, Amazon S3 (and what speaks its protocol) or Google Cloud Storage: one object each.

Owns: writes on the condition that the object is still the one that was read (its ETag; Google: its generation), and
reading the URL and the environment as Pulumi does, whose backends are Go CDK's (pkg.go.dev, ``gocloud.dev/blob`` with
``azureblob``, ``s3blob``, ``gcsblob``; Pulumi's documentation, "Using a DIY backend").

A removed journal stays as an empty object: deleting knows no condition in these stores, so it could take away what
another runner wrote in between, while an empty object is written on the same condition as every other.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, StateUnavailable, Unreachable
from provision.journal import FOLDER, Conflict, Entry, check_key, seal, unseal

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import AzureCredential, ClientConfig, RetryConfig, S3Credential

_RETRY: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_TIMEOUTS: ClientConfig = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=20)}

# The stores' own codes (Microsoft: "Blob service error codes" and "Status and error codes"; Amazon S3 API Reference:
# "Error responses"). AuthorizationFailure is also what Azure's firewall answers.
_NO_PLACE = {"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "NoSuchBucket"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_NO_SIGN_IN = {
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
}


@dataclass(frozen=True)
class Place:
    """Where objects are kept and how to get in."""

    store: AzureStore | S3Store | GCSStore = field(repr=False)
    bucket: str
    """The URL of the container or bucket."""
    query: str
    """What the URL needs besides; empty, or a question mark and parameters."""
    prefix: str
    """What the objects' names begin with; empty, or with a slash where there is to be one."""
    sign_in: str
    """What a person who is not let in looks at."""
    rights: str
    """The least that must be granted."""

    @property
    def shown(self) -> str:
        """Without a key, for messages."""
        return f"{self.bucket}{self.query}"


class Objects:
    """A ``Store`` in a container or bucket, which must be there.

    Args:
        place: see ``Place``.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def shown(self) -> str:
        """The container or bucket and the beginning of the names."""
        return f"{self._place.bucket}/{self._place.prefix}{FOLDER}{self._place.query}"

    def read(self, key: str) -> Entry | None:
        """See ``Store.read``."""
        found = self._get(check_key(key))
        if found is None or not found[0]:
            return None
        content, version = found
        try:
            document, _ = unseal(content)
        except ValueError:
            raise StateUnavailable(
                f"The journal {key} in {self.shown} is damaged: it is not what this toolkit writes.",
                remedy="Restore an earlier version of the object, or remove it to begin a new one.",
            ) from None
        return Entry(document, version)

    def write(self, key: str, document: Mapping[str, Any], *, expected: str | None) -> str:
        """See ``Store.write``."""
        check_key(key)
        content = seal(document, secrets.token_hex(16))
        try:
            if expected is not None:
                return self._put(key, content, _condition(key, expected))
            try:
                return self._put(key, content, "create")
            except Conflict:
                found = self._get(key)
                if found is None or found[0]:
                    raise
                return self._put(key, content, _condition(key, found[1]))
        except Conflict:
            # A request is sent again when its answer is lost, and then meets what it wrote itself.
            found = self._get(key)
            if found is None or found[0] != content:
                raise
            return found[1]

    def keys(self) -> list[str]:
        """See ``Store.keys``."""
        start = f"{self._place.prefix}{FOLDER}/"
        with self._told():
            found = [meta for page in obstore.list(self._place.store, start) for meta in page]
        return sorted(
            meta["path"].removeprefix(start).removesuffix(".json")
            for meta in found
            if meta["size"] and meta["path"].endswith(".json")
        )

    def remove(self, key: str, *, expected: str) -> None:
        """See ``Store.remove``."""
        self._put(check_key(key), b"", _condition(key, expected))

    def _get(self, key: str) -> tuple[bytes, str] | None:
        """An object's content and version; the content is empty when it was removed."""
        try:
            with self._told():
                found = obstore.get(self._place.store, self._name(key))
                return bytes(found.bytes()), _version(found.meta)
        except FileNotFoundError:
            return None

    def _put(self, key: str, content: bytes, mode: PutMode) -> str:
        try:
            with self._told():
                return _version(obstore.put(self._place.store, self._name(key), content, mode=mode))
        except (AlreadyExistsError, PreconditionError):
            raise Conflict(key) from None
        except FileNotFoundError as failure:
            if mode == "create":
                raise self._other(failure) from None
            raise Conflict(key) from None

    def _name(self, key: str) -> str:
        return f"{self._place.prefix}{FOLDER}/{key}.json"

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the store refuses, in one sentence; that an object is not or no longer there goes through."""
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as failure:
            if (known := self._refusal(failure)) is None:
                raise
            raise known from None
        except BaseError as failure:
            raise self._refusal(failure) or self._other(failure) from None

    def _refusal(self, failure: Exception) -> ProvisionError | None:
        """A refusal that the store itself names; its whole answer is not shown, for it may quote the request."""
        answer = str(failure).partition("\n\nDebug source:")[0]
        code = found[1] if (found := re.search(r"<Code>(\w+)</Code>", answer)) else ""
        if code in _NO_PLACE:
            return StateUnavailable(
                f"{self._place.shown} is not there ({code}).",
                remedy="Make the container or bucket, or correct the URL.",
            )
        if code in _WRONG_REGION:
            return StateUnavailable(
                f"{self._place.shown} is in another region ({code}).",
                remedy="Name its region with region=… in the URL.",
            )
        refused = code == "AuthorizationFailure" and "failed to authenticate" in answer
        if isinstance(failure, UnauthenticatedError) or code in _NO_SIGN_IN or refused:
            # "… for path External … credential provider: ErrorOfAzure: What it says."; of a malformed key, nothing.
            why = re.search(r"credential provider: (?!TypeError)\w+: ([^\n]{1,300})", answer)
            reason = code or (why[1].rstrip(" .") if why else "")
            return SignInFailed(
                f"The sign-in to {self._place.shown} fails{f': {reason}' if reason else ''}.",
                remedy=self._place.sign_in,
            )
        if isinstance(failure, PermissionDeniedError):
            return NotPermitted(
                f"The journal in {self.shown} may not be used{f' ({code})' if code else ''}.",
                remedy=f"Grant {self._place.rights}, and let this machine through the store's firewall.",
            )
        return None

    def _other(self, failure: Exception) -> ProvisionError:
        answer, _, source = str(failure).partition("\n\nDebug source:")
        status = found[1] if (found := re.search(r"status code: (\d{3})", answer)) else ""
        if status and not status.startswith("5"):
            code = found[1] if (found := re.search(r"<Code>(\w+)</Code>", answer)) else "no reason"
            return StateUnavailable(
                f"{self._place.shown} refuses to keep the journal: HTTP {status}, {code}.",
                remedy="See that the store knows conditional writes (If-Match, If-None-Match), and correct the URL.",
            )
        why = f"HTTP {status}" if status else "no connection"
        if re.search(r"certificate|UnknownIssuer|CertNotValid", source):
            why = "its TLS certificate is not trusted"
        return Unreachable(
            f"{self._place.shown} does not answer: {why}.",
            remedy="See that name and endpoint are right and that a firewall or proxy lets this machine through.",
        )


def open_place(url: str, environ: Mapping[str, str]) -> Objects:
    """The store of an ``azblob://``, ``s3://`` or ``gs://`` URL.

    Args:
        url: container or bucket, a beginning for the names as its path, and the parameters that Pulumi takes.
        environ: the variables that Pulumi reads. Where the sign-in is left to Microsoft's, Amazon's or Google's own
            library, that reads the process's environment.

    Raises:
        InvalidInput: the URL has no bucket or a parameter that cannot be honoured, or a variable cannot be understood.
    """
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    folder = unquote(parts.path).strip("/")
    prefix = given.pop("prefix", "") + (f"{folder}/" if folder else "")
    if not parts.netloc:
        raise InvalidInput(
            f"The journal's {parts.scheme}:// URL names no container or bucket.",
            remedy=f"Write {parts.scheme}://name, with a path behind it where one is wanted.",
        )
    parameters = _Parameters(parts.scheme, given)
    opened = {"azblob": _azure, "s3": _amazon, "gs": _google}[parts.scheme]
    try:
        place = opened(parts.netloc, parameters, environ, prefix)
    except (BaseError, ValueError):
        raise InvalidInput(
            f"The journal's {parts.scheme}:// URL or the variables of its sign-in cannot be understood.",
            remedy="Compare them with Pulumi's documentation of this backend.",
        ) from None  # the reason may quote a key
    parameters.refuse_the_rest()
    return Objects(place)


class _Parameters:
    """The parameters of a URL, each asked for once: what nobody asks for is refused, as Pulumi refuses it."""

    def __init__(self, scheme: str, given: dict[str, str]) -> None:
        self._scheme = scheme
        self._given = given

    def text(self, name: str) -> str:
        return self._given.pop(name, "")

    def truth(self, name: str) -> bool:
        """A truth value as Go's ``strconv.ParseBool`` writes it."""
        return _truth(name, self.text(name))

    def without_effect(self, *names: str) -> None:
        """Takes in what changes nothing here."""
        for name in names:
            self._given.pop(name, None)

    def refuse_the_rest(self) -> None:
        if self._given:
            raise InvalidInput(
                f"The journal's {self._scheme}:// URL has the parameter {min(self._given)!r}, which is not known here.",
                remedy="Correct it, or name another place for the journal with --journal or PROVISION_JOURNAL.",
            )


def _azure(container: str, parameters: _Parameters, environ: Mapping[str, str], prefix: str) -> Place:
    connection = _connection_string(environ)
    account = (
        parameters.text("storage_account") or environ.get("AZURE_STORAGE_ACCOUNT") or connection.get("AccountName", "")
    )
    domain = parameters.text("domain") or environ.get("AZURE_STORAGE_DOMAIN") or "blob.core.windows.net"
    protocol = (
        parameters.text("protocol")
        or environ.get("AZURE_STORAGE_PROTOCOL")
        or connection.get("DefaultEndpointsProtocol")
        or "https"
    )
    cdn = parameters.truth("cdn") or _truth("AZURE_STORAGE_IS_CDN", environ.get("AZURE_STORAGE_IS_CDN", ""))
    emulator = "AZURE_STORAGE_IS_LOCAL_EMULATOR"
    local = parameters.truth("localemu") or _truth(emulator, environ.get(emulator, ""))
    if not account:
        raise InvalidInput(
            "The journal's azblob:// URL names no storage account.",
            remedy="Add ?storage_account=NAME to it, or set AZURE_STORAGE_ACCOUNT.",
        )
    key = environ.get("AZURE_STORAGE_KEY")
    signature = environ.get("AZURE_STORAGE_SAS_TOKEN")
    if domain.startswith(("127.0.0.1", "localhost")) or local:
        endpoint = f"{protocol}://{domain}/{account}"
    else:
        endpoint = f"{protocol}://{domain}" if cdn else f"{protocol}://{account}.{domain}"
    if connection and not key and not signature:
        key, signature = connection.get("AccountKey"), connection.get("SharedAccessSignature")
        endpoint = connection.get("BlobEndpoint", endpoint).rstrip("/")
    store = AzureStore(
        container,
        account_name=account,
        endpoint=endpoint,
        credential_provider=_azure_credential(key, signature),
        client_options=_client(endpoint),
        retry_config=_RETRY,
    )
    return Place(
        store,
        f"azblob://{container}",
        f"?storage_account={account}",
        prefix,
        "Correct AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or without them sign in with `az login`.",
        "the role Storage Blob Data Contributor on the container (a signature: read, create, write and list)",
    )


def _azure_credential(key: str | None, signature: str | None) -> Callable[[], AzureCredential]:
    """The account's key, a shared access signature or, with neither, Azure's own order of sign-ins."""
    if key:
        return lambda: {"access_key": key, "expires_at": None}
    if signature:
        return lambda: {"sas_token": signature.removeprefix("?"), "expires_at": None}
    from obstore.auth.azure import AzureCredentialProvider

    return AzureCredentialProvider()


def _connection_string(environ: Mapping[str, str]) -> dict[str, str]:
    text = environ.get("AZURE_STORAGE_CONNECTION_STRING") or environ.get("AZURE_STORAGEBLOB_CONNECTIONSTRING") or ""
    return dict(part.partition("=")[::2] for part in text.split(";") if part)


def _amazon(bucket: str, parameters: _Parameters, environ: Mapping[str, str], prefix: str) -> Place:
    parameters.without_effect(
        "awssdk", "accelerate", "rate_limiter_capacity", "request_checksum_calculation", "response_checksum_validation"
    )
    options: dict[str, Any] = {}
    by_path = [parameters.truth(name) for name in ("use_path_style", "s3ForcePathStyle", "hostname_immutable")]
    plain = [parameters.truth(name) for name in ("disable_https", "disableSSL")]
    endpoint = parameters.text("endpoint")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if any(plain) else 'https'}://{endpoint}"
    if endpoint:
        parts = urlsplit(endpoint)
        if not any(by_path) and not _is_address(parts.hostname or ""):
            endpoint = parts._replace(netloc=f"{bucket}.{parts.netloc}").geturl()
            options["virtual_hosted_style_request"] = True
        options["endpoint"] = endpoint.rstrip("/")
    if encryption := parameters.text("ssetype"):
        options["server_side_encryption"] = encryption
    if kms := parameters.text("kmskeyid"):
        options["sse_kms_key_id"] = kms
    if parameters.truth("anonymous"):
        options["skip_signature"] = True
    profile, role, region = parameters.text("profile"), parameters.text("role"), parameters.text("region")
    if provider := _amazon_credential(profile, role, region, environ):
        options["credential_provider"] = provider
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    if region:
        options["region"] = region
    store = S3Store(bucket, **options, client_options=_client(endpoint), retry_config=_RETRY)
    return Place(
        store,
        f"s3://{bucket}",
        "",
        prefix,
        "Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile, or sign in again.",
        "s3:GetObject, s3:PutObject and s3:ListBucket (without it S3 does not say that an object is not there)",
    )


def _amazon_credential(
    profile: str, role: str, region: str, environ: Mapping[str, str]
) -> Callable[[], S3Credential] | None:
    """In the order of Amazon's own SDK; None where obstore has the same (web identity, container, instance)."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret and not profile and not role:
        token = environ.get("AWS_SESSION_TOKEN")
        return lambda: {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
    home = Path(environ.get("HOME", "~")).expanduser() / ".aws"
    files = [
        environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"),
        environ.get("AWS_CONFIG_FILE", home / "config"),
    ]
    if not profile and not role and not any(Path(file).exists() for file in files):
        return None
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as missing:
        raise InvalidInput(
            f"A journal in s3:// with a profile or role of AWS needs the Python package {missing.name}, "
            "which is not installed.",
            remedy="pip install boto3",
        ) from None
    try:
        session = boto3.Session(profile_name=profile or None, region_name=region or None)
        if role:
            return lambda: _assumed(session, role)
        return Boto3CredentialProvider(session)
    except BotoCoreError as failure:
        raise InvalidInput(
            f"The profile for the journal's s3:// URL cannot be used: {failure}.",
            remedy="Correct profile=… in the URL or AWS_PROFILE.",
        ) from None


def _assumed(session: Any, role: str) -> S3Credential:
    """A role's keys; obstore's own provider hands on an expiry whose time zone obstore then refuses."""
    keys = session.client("sts").assume_role(RoleArn=role, RoleSessionName="provision-journal")["Credentials"]
    return {
        "access_key_id": keys["AccessKeyId"],
        "secret_access_key": keys["SecretAccessKey"],
        "token": keys["SessionToken"],
        "expires_at": keys["Expiration"].astimezone(UTC),
    }


def _google(bucket: str, parameters: _Parameters, environ: Mapping[str, str], prefix: str) -> Place:
    parameters.without_effect("access_id", "private_key_path")  # they sign URLs, of which there are none here
    options: dict[str, Any] = {}
    if parameters.truth("anonymous"):
        options["skip_signature"] = True
    elif key := environ.get("GOOGLE_CREDENTIALS"):
        options["service_account_key"] = key
    elif token := environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        options["bearer_token"] = token
    elif file := environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        options["application_credentials"] = file
    store = GCSStore(bucket, **options, client_options=_client(""), retry_config=_RETRY)
    return Place(
        store,
        f"gs://{bucket}",
        "",
        prefix,
        "Correct GOOGLE_CREDENTIALS or GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`.",
        "the role Storage Object User on the bucket",
    )


def _client(endpoint: str) -> ClientConfig:
    """Without TLS only where the URL itself names ``http``."""
    return {**_TIMEOUTS, "allow_http": endpoint.startswith("http://")}


def _condition(key: str, version: str) -> PutMode:
    """The condition that an object is still of a version; a version of another kind of store is no object's."""
    try:
        e_tag, generation = json.loads(version)
    except (ValueError, TypeError):
        raise Conflict(key) from None
    return {"e_tag": str(e_tag), **({"version": str(generation)} if generation else {})}


def _version(found: Mapping[str, Any]) -> str:
    return json.dumps([found["e_tag"], found["version"]])


def _truth(name: str, text: str) -> bool:
    if text in ("", "0", "f", "F", "false", "FALSE", "False"):
        return False
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    raise InvalidInput(f"The value of {name} for the journal is neither true nor false.", remedy="Say true or false.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
