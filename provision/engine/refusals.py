"""What a failed run means: the engine's many words, mapped to one sentence of ``provision.errors``.

Owns: the table of the engine's, the plugin's and Microsoft's sentences. Does not own: what to do about a lock
(``locks``, ``stack``), and an error that the program itself hands out (``errors``). The first rule that fits counts;
Microsoft's codes come before the transport's words, because a sentence may have both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from provision.engine.events import Diagnostic
from provision.engine.locks import locks_in
from provision.engine.state import without_passwords
from provision.errors import (
    EngineUnavailable,
    InvalidInput,
    NotPermitted,
    PolicyRefuses,
    ProvisionError,
    SignInFailed,
    StateUnavailable,
    Unreachable,
)


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    error: type[ProvisionError]
    message: str
    """May use ``{stack}``, ``{passphrase}``, ``{credential}`` and the pattern's named groups."""
    remedy: str


def _rule(pattern: str, error: type[ProvisionError], message: str, remedy: str) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE | re.DOTALL), error, message, remedy)


# The engine's words around what a gocloud.dev bucket or PostgreSQL's driver said.
_BACKEND = (
    r"(?:unable to open state database|unable to open bucket|could not (?:list|read) bucket|read \"\.pulumi/"
    r"|blob \(key).*?"
)
_RULES = (
    _rule(
        _BACKEND + r"(?P<said>password authentication failed for user [^\s(]+|no password supplied|Server failed to "
        r"authenticate the request|AuthenticationFailed|InvalidAccessKeyId|SignatureDoesNotMatch"
        r"|failed to refresh cached credentials|illegal base64 data|authorized requests are not permitted"
        r"|DefaultAzureCredential|could not find default credentials|invalid_grant)",
        SignInFailed,
        "The sign-in to the state backend of stack {stack} fails: {said}.",
        "Correct user and password in PULUMI_BACKEND_URL, or the backend's own variables (docs/engine.md).",
    ),
    _rule(
        _BACKEND + r"(?P<said>AuthorizationPermissionMismatch|AuthorizationFailure|AccessDenied|Access Denied"
        r"|permission denied for [^\r\n(]+|StatusCode: 403|Error 403)",
        NotPermitted,
        "The state backend of stack {stack} refuses this sign-in: {said}.",
        "Grant it the rights to read, write, list and delete there, and let this machine through its firewall.",
    ),
    _rule(
        _BACKEND + r"(?P<said>database \"[^\"]*\" does not exist|The specified (?:container|bucket) "
        r"does not exist|bucket doesn't exist)",
        StateUnavailable,
        "The state backend of stack {stack} is not there: {said}.",
        "Make the container, bucket or database, or correct PULUMI_BACKEND_URL.",
    ),
    _rule(
        _BACKEND + r"(?P<said>dial tcp[^\r\n\"]*|i/o timeout|context deadline exceeded|connection reset[^\r\n\"]*"
        r"|SSL is not enabled on the server|x509: [^\r\n\"]*)",
        Unreachable,
        "The state backend of stack {stack} does not answer as it should: {said}.",
        "Check PULUMI_BACKEND_URL (host, port, TLS), the network and firewalls, and run the same command again.",
    ),
    _rule(
        r"incorrect passphrase",
        StateUnavailable,
        "The passphrase from {passphrase} does not open the state of stack {stack}.",
        "Give the passphrase that the stack was made with: PULUMI_CONFIG_PASSPHRASE_FILE=<file>.",
    ),
    _rule(
        r"passphrase must be set with|constructing secrets manager|get stack secrets manager",
        StateUnavailable,
        "The state of stack {stack} is encrypted in a way that these settings cannot open.",
        "Restore the stack's Pulumi.{stack}.yaml, and give its passphrase with PULUMI_CONFIG_PASSPHRASE_FILE=<file>.",
    ),
    _rule(
        r"(?P<code>AADSTS\d+): (?P<said>[^\r\n\"]*?)(?:\.\s|\s+Trace ID|[\r\n\"]|$)",
        SignInFailed,
        "Microsoft Entra refused the sign-in: {code}: {said}.",
        "Check tenant, client and {credential}; see https://login.microsoftonline.com/error?code={code}",
    ),
    _rule(
        r"(?P<said>Signing in[^\r\n]*?failed: [^\r\n]*?)\.(?:\s|$)",
        SignInFailed,
        "{said}.",
        "Check tenant, client and {credential}; `provision up` signs in before it starts the engine and says more.",
    ),
    _rule(
        r"CredentialInvalidLifetime|CredentialTypeNotAllowed|blocked by policy|app management polic"
        r"|credential lifetime exceeds",
        PolicyRefuses,
        "A policy of the tenant for applications forbids this secret or its lifetime.",
        "Choose a shorter lifetime (office365-mail:secretMonths), or ask for an exception in that policy.",
    ),
    _rule(
        r"Authorization_RequestDenied|Insufficient privileges",
        NotPermitted,
        "Microsoft Graph refused: the signed-in account has too few rights for this operation.",
        "Sign in as an Application Administrator or Cloud Application Administrator (consent: the same or higher).",
    ),
    _rule(
        r"x509:|certificate signed by unknown authority|CERTIFICATE_VERIFY_FAILED|certificate verify failed"
        r"|tls: failed to verify|TLS certificate of \S+ is not trusted",
        Unreachable,
        "The server's TLS certificate is not trusted by this machine.",
        "Name the certificate authority's file with SSL_CERT_FILE (for a local tenant: `provision sandbox env`).",
    ),
    _rule(
        r"(?P<said>\S+ (?:cannot be reached|does not answer in time)[^\r\n]*?)\.(?:\s|$)",
        Unreachable,
        "{said}.",
        "Check the network, a proxy or VPN, and run the same command again.",
    ),
    _rule(
        r"no resource plugin|failed to download plugin|Could not automatically download"
        r"|failed to load plugin|could not read plugin|plugin .{0,80}exited prematurely",
        EngineUnavailable,
        "The azuread plugin is missing or does not start.",
        "See `provision engine status`; with internet access `pulumi plugin install resource azuread` gets it.",
    ),
    _rule(
        r"unexpected status (?:429|5\d\d)\b",
        Unreachable,
        "Microsoft Graph did not carry out a request of stack {stack}: {line}.",
        "Run the same command again in a few minutes; nothing is lost, and nothing is made twice.",
    ),
    _rule(
        r"connection refused|no such host|Name or service not known|i/o timeout|network is unreachable"
        r"|connection reset|context deadline exceeded|All connection attempts failed|ConnectError|ConnectTimeout",
        Unreachable,
        "The other side does not answer: {line}.",
        "Check the network, the proxy and azuread:metadataHost, and run the same command again.",
    ),
    _rule(
        r"failed to load checkpoint|could not deserialize deployment|snapshot integrity"
        r"|invalid character .{0,80}looking|unable to (?:open|check) bucket|could not (?:list|read) bucket"
        r"|permission denied",
        StateUnavailable,
        "The state of stack {stack} cannot be read: {line}.",
        "Restore it from a backup (the backend keeps .pulumi/backups), or correct the permissions.",
    ),
    _rule(
        r"could not unmarshal|Pulumi\.[\w.-]+\.ya?ml|invalid configuration key",
        InvalidInput,
        "The stack's configuration cannot be used: {line}.",
        "Correct Pulumi.{stack}.yaml.",
    ),
)


def refusal(
    stderr: str,
    diagnostics: Sequence[Diagnostic],
    *,
    stack: str,
    passphrase: str,
    credential: str = "",
) -> ProvisionError:
    """The error that a failed run means.

    Args:
        stderr: what the engine wrote to standard error.
        diagnostics: the warnings and errors of the run.
        stack: the stack's name.
        passphrase: where the passphrase came from, in words.
        credential: where the secret or certificate is kept with which the plugin signs in, if that is known.
    """
    errors = [said.message for said in diagnostics if said.severity == "error"] or _error_lines(stderr)
    errors = [without_passwords(message) for message in errors]  # the engine shows a backend's URL whole
    text = "\n".join(errors)
    if "the stack is currently locked by" in text or "Another update is currently in progress" in text:
        return locked(text, stack=stack)
    for rule in _RULES:
        if (found := rule.pattern.search(text)) is not None:
            words = {
                "stack": stack,
                "passphrase": passphrase,
                "credential": f"credential ({credential})" if credential else "credential",
                "line": _line_around(text, found.start()),
                **{name: (value or "").strip().rstrip(".") for name, value in found.groupdict().items()},
            }
            return rule.error(rule.message.format(**words), remedy=rule.remedy.format(**words))
    return _of_the_program(errors, stack)


def locked(text: str, *, stack: str) -> StateUnavailable:
    """The error for a stack that somebody else is working on."""
    held = "; ".join(str(lock) for lock in locks_in(text)) or "another run"
    return StateUnavailable(
        f"Stack {stack} is locked by {held}.",
        remedy="Wait for that run to end. If it is dead (killed on another machine), unlock with "
        f"`pulumi cancel --stack {stack}`.",
    )


def _error_lines(stderr: str) -> list[str]:
    """The engine's own complaints; it starts them with ``error:`` and may go on over several lines."""
    _, found, complaint = stderr.partition("error: ")
    return [complaint if found else stderr]


def _line_around(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].partition("\n")[0].strip(" \t\r*")
    return (line if len(line) <= 240 else f"{line[:240]}…").rstrip(".:")


def _of_the_program(errors: Sequence[str], stack: str) -> ProvisionError:
    for message in errors:
        if "Program failed with an unhandled exception" in message:
            lines = [line for line in message.splitlines() if line.strip()]
            place = next((line.strip() for line in reversed(lines) if line.strip().startswith("File ")), "")
            where = re.sub(r'^File "(.+)", line (\d+).*$', r" (\1, line \2)", place)
            return ProvisionError(
                f"The program of stack {stack} failed: {lines[-1].strip().rstrip('.')}{where}.",
                remedy=f"`pulumi up --stack {stack}` shows where.",
            )
    said = next(
        (line.strip() for message in errors for line in message.splitlines() if line.strip()), "no reason given"
    )
    return ProvisionError(f"The engine could not finish stack {stack}: {said.rstrip('.')}.")
