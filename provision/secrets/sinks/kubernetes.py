"""A key of a Kubernetes Secret, in the cluster that the kubeconfig's current context names.

The address is ``kubernetes:NAMESPACE/NAME#KEY``. The sign-in is kubectl's: the files in ``KUBECONFIG``, else
``~/.kube/config``, else the service account of the pod that this runs in. The Secret is made when it is not there.

A write is one server-side apply in the name of a field manager of its own for each key, so that keys, labels and
annotations of others stay, whoever writes them at the same time. Which client secret it is stands in an annotation of
the same write. The value is in no annotation: kubectl's own "last applied" annotation would show it.

Sources: "Server-Side Apply", "Kubernetes API Concepts" (dry run, status codes), "Secrets" and "Using RBAC
Authorization" of the Kubernetes documentation.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, ProvisionError, SignInFailed, Unreachable
from provision.secrets.sinks import Delivery, Stored
from provision.settings.endpoints import unreachable

if TYPE_CHECKING:
    from kubernetes.client import Configuration, CoreV1Api

RIGHTS = """\
This Role in the Secret's namespace, bound to whoever runs this:
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: provision-NAME, namespace: NAMESPACE}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [NAME], verbs: [get, patch, create]}
"""
"""``create`` counts only for a Secret that is not there; made by a server-side apply, it can be bound to a name."""
WITHOUT_CERTIFICATES = ""

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,53}[A-Za-z0-9])?")
"""A Secret's key that also fits into an annotation's name (63 characters with its prefix)."""
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT = (10, 30)
"""Seconds for the connection and for an answer."""
_PLACEHOLDER = "dry run"
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
_POLICY = re.compile(r"(?:ValidatingAdmissionPolicy '|admission webhook \")([A-Za-z0-9.-]+)['\"]")


@dataclass(frozen=True)
class SecretKey:
    """One key of one Secret."""

    address: str
    namespace: str
    name: str
    key: str
    environ: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        """Reads the Secret and applies the key as a dry run: rights, admission and validation, and nothing is kept."""
        self._read()
        status, answer = self._apply(_PLACEHOLDER, _PLACEHOLDER, dry_run=True)
        if status == 400 and "dry run" in str(answer.get("message")):
            return  # an admission webhook that does not know dry runs ends them; it says nothing of the write
        self._accept("write", status, answer)

    def stored(self) -> Stored | None:
        """The key's value; ``changed`` is the Secret's resource version, which others' writes change too."""
        secret = self._read()
        if secret is None or self.key not in (secret.get("data") or {}):
            return None
        metadata = secret.get("metadata") or {}
        try:
            value = base64.b64decode(secret["data"][self.key], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            value = None  # bytes that no client secret has
        return Stored(
            value, (metadata.get("annotations") or {}).get(self._annotation), str(metadata.get("resourceVersion"))
        )

    def write(self, delivery: Delivery) -> None:
        """Sets the key and its annotation in one request; makes the Secret where there is none."""
        status, answer = self._apply(delivery.value, delivery.key_id)
        self._accept("write", status, answer)

    def remove(self) -> None:
        """Takes the key and its annotation out; the Secret stays, for it may be mounted."""
        if self.stored() is None:
            return
        gone = {"metadata": {"annotations": {self._annotation: None}}, "data": {self.key: None}}
        status, answer = self._ask(
            "patch_namespaced_secret", body=gone, field_manager=self._manager, _content_type=_MERGE
        )
        self._accept("write", status, answer)

    @property
    def _annotation(self) -> str:
        return f"provision/key-id.{self.key}"

    @property
    def _manager(self) -> str:
        """One for each key: a manager that applies a Secret without a key that it owns thereby removes that key."""
        return f"provision/{self.key}"

    def _apply(self, value: str, key_id: str, *, dry_run: bool = False) -> tuple[int, dict[str, Any]]:
        wanted = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "annotations": {self._annotation: key_id},
            },
            "data": {self.key: base64.b64encode(value.encode()).decode()},
        }
        return self._ask(
            "patch_namespaced_secret",
            body=wanted,
            field_manager=self._manager,
            force=True,
            dry_run="All" if dry_run else None,
            _content_type=_APPLY,
        )

    def _read(self) -> dict[str, Any] | None:
        status, answer = self._ask("read_namespaced_secret")
        if status == 404 and answer.get("reason") == "NotFound":
            return None
        self._accept("read", status, answer)
        return answer

    @cached_property
    def _api(self) -> CoreV1Api:
        from kubernetes.client import ApiClient, CoreV1Api

        return CoreV1Api(ApiClient(self._configuration))

    @cached_property
    def _configuration(self) -> Configuration:
        return _configured(self.environ)

    def _ask(self, operation: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """One request's status and JSON object (empty where there is none), whether it is a success or a refusal.

        The client's own models are not used: what they refuse they quote.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            response = getattr(self._api, operation)(
                name=self.name, namespace=self.namespace, _preload_content=False, _request_timeout=_TIMEOUT, **options
            )
            status, text = response.status, response.data
        except ApiException as error:
            if not error.status:  # a handshake that failed
                raise self._unreachable(error) from None
            status, text = error.status, error.body
        except (HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        try:
            document = json.loads(text or "")
        except ValueError:
            document = None
        return int(status), document if isinstance(document, dict) else {}

    def _unreachable(self, error: BaseException) -> ProvisionError:
        return unreachable(str(self._configuration.host), error, ca_file=self._configuration.ssl_ca_cert)

    @property
    def _where(self) -> str:
        return f"the Secret {self.namespace}/{self.name}"

    def _accept(self, what: str, status: int, answer: Mapping[str, Any]) -> None:
        """Refuses an answer that is no success; of its text only a policy's name is told, for it may quote values."""
        host = self._configuration.host
        if 200 <= status < 300 and answer.get("kind") == "Secret":
            return
        if answer.get("kind") != "Status":
            raise Unreachable(
                f"{host} does not answer as a Kubernetes API server does (HTTP {status}).",
                remedy="Check the kubeconfig's current context.",
            )
        doing = f"{host} refuses to {what} {self._where}"
        said = str(answer.get("message"))
        if status == 401:
            raise SignInFailed(f"{host} does not accept the sign-in.", remedy="Sign in again: kubectl auth whoami.")
        if (policy := _POLICY.search(said)) or "exceeded quota" in said:
            by = f"the admission policy {policy[1]}" if policy else "a resource quota"
            raise PolicyRefuses(f"{doing}: {by} forbids it.", remedy="Ask the cluster's administrators.")
        if status == 403:
            raise NotPermitted(f"{doing}: the role is not enough.", remedy=self._rights)
        if status == 429 or status >= 500:
            raise Unreachable(f"{host} is overloaded: HTTP {status}.", remedy="Run again.")
        if status == 409:
            raise ProvisionError(f"{doing}: others write it at the same time.", remedy="Run again.")
        if "immutable" in said:
            raise InvalidInput(f"{doing}: it is marked immutable.", remedy="Name another Secret.")
        if status == 404:
            raise InvalidInput(f"{doing}: there is no such namespace.", remedy="Make it, or name another.")
        raise InvalidInput(f"{doing} ({answer.get('reason')}).", remedy="Check the namespace, the name and the key.")

    @property
    def _rights(self) -> str:
        return RIGHTS.replace("NAMESPACE", self.namespace).replace("NAME", self.name)


def _configured(environ: Mapping[str, str]) -> Configuration:
    """Server, trust and sign-in, as kubectl finds them.

    Raises:
        InvalidInput: no kubeconfig, or one that cannot be used or would send secrets unsafely.
        SignInFailed: the kubeconfig's sign-in program gives no token.
    """
    from kubernetes.client import Configuration
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader
    from urllib3 import Retry

    configuration = Configuration()
    # A redirected request would take the secret to a host that nobody named.
    configuration.retries = Retry(total=2, read=0, redirect=False, backoff_factor=0.5)
    home = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    files = environ.get("KUBECONFIG") or (str(home) if home.exists() else "")
    try:
        if files:
            _load(files, configuration)
        else:
            account = InClusterConfigLoader(  # type: ignore[no-untyped-call]
                token_filename=str(_ACCOUNT / "token"), cert_filename=str(_ACCOUNT / "ca.crt"), environ=dict(environ)
            )
            account.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError):
        if not files:
            raise InvalidInput(
                "There is no kubeconfig, and this is not a pod with a service account.",
                remedy="Name a kubeconfig in KUBECONFIG.",
            ) from None
        raise InvalidInput(f"The kubeconfig {files} cannot be used.", remedy="kubectl auth whoami says why.") from None
    parts = urlsplit(str(configuration.host))
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not configuration.verify_ssl or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise InvalidInput(
            f"The kubeconfig {files} leaves the server's certificate unchecked.",
            remedy="Name its authority (certificate-authority) in place of insecure-skip-tls-verify or http.",
        )
    return configuration


def _load(files: str, configuration: Configuration) -> None:
    import yaml
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

    try:
        merged = KubeConfigMerger(files).config  # type: ignore[no-untyped-call]
    except yaml.YAMLError:
        raise ConfigException from None
    context = merged["contexts"].get_with_name(merged["current-context"])["context"]
    user = merged["users"].get_with_name(context["user"])["user"] if context.safe_get("user") else {}
    if "auth-provider" in user:
        # The client would renew an OIDC token without checking the issuer's certificate.
        raise InvalidInput(
            f"The kubeconfig {files} signs in by an auth-provider, which kubectl has given up.",
            remedy="Use a sign-in program (exec), for example kubelogin.",
        )
    with _quiet_root():
        loader = KubeConfigLoader(merged, config_base_path=None)  # type: ignore[no-untyped-call]
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    if "exec" in user and "BearerToken" not in configuration.api_key and not configuration.cert_file:
        raise SignInFailed(
            f"The sign-in program of the kubeconfig {files} gives no token.", remedy="See why: kubectl auth whoami."
        )


@contextlib.contextmanager
def _quiet_root() -> Iterator[None]:
    """Keeps off standard error what the client logs by ``logging.error`` when a sign-in program fails."""
    root, silent = logging.getLogger(), logging.NullHandler()

    def of_the_client(record: logging.LogRecord) -> bool:
        return record.module != "kube_config"

    root.addHandler(silent)
    root.addFilter(of_the_client)
    try:
        yield
    finally:
        root.removeFilter(of_the_client)
        root.removeHandler(silent)


def open_sink(rest: str, environ: Mapping[str, str]) -> SecretKey:
    """The sink of ``NAMESPACE/NAME#KEY``.

    Raises:
        InvalidInput: one of the three is not a name.
    """
    import kubernetes.client  # noqa: F401 - a missing library is said before anything is made

    place, _, key = rest.partition("#")
    namespace, _, name = place.partition("/")
    if not _NAMESPACE.fullmatch(namespace) or not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
        raise InvalidInput(
            f"{rest!r} is not a namespace, a Secret and a key of it.",
            remedy="For example kubernetes:tms/mail#client-secret (a key has at most 55 characters).",
        )
    return SecretKey(f"kubernetes:{rest}", namespace, name, key, environ)
