"""Every way in which the toolkit can refuse or fail, each with one sentence, a remedy and an exit code.

The tree::

    ProvisionError                 1   the work itself failed (the engine reported an error)
    ├── Usage                      2   the command line cannot be understood (argparse uses the same code)
    ├── InvalidInput               3   a setting, a file or an argument is wrong
    ├── SignInFailed               4   no token: expired sign-in, wrong secret, no such tenant, wrong tenant
    ├── NotPermitted               5   signed in, but the role or permission is not enough
    ├── ConsentPending             6   everything is done except admin consent
    ├── Unreachable                7   the other side does not answer, or its TLS certificate is not trusted
    ├── StateUnavailable           8   state locked, wrong passphrase, half-finished earlier run
    ├── EngineUnavailable          9   no Pulumi engine or plugin can be had
    ├── PolicyRefuses             10   a policy of the tenant forbids what was asked
    ├── WouldOverwrite            11   refusing to replace something that is already there
    ├── Interrupted               12   stopped by a signal; running again continues
    ├── Expiring                  13   a client secret in use has ended or ends soon
    ├── NotDelivered              14   a sink did not take or keep a new client secret; the old one stays valid
    ├── ProblemsFound             15   a check found what stands in the way of sending mail
    ├── Undecided                 16   a check found no cause, but could not look at everything that it takes
    └── PartlyFailed              17   some tenants of a fleet failed; the others are done

Only ``provision.cli`` turns them into output and an exit code. A message never contains a secret. An error
that a Pulumi program raises inside the engine's run travels out of it whole, through the file that
``PROVISION_ERROR_FILE`` names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

ERROR_FILE = "PROVISION_ERROR_FILE"
"""Names the file into which a program writes its own error before it gives up (``ProvisionError.write``)."""


class ProvisionError(Exception):
    """Base of every failure that is foreseen: one sentence (what, where) and a remedy (what to do).

    Args:
        message: what happened and where, one sentence, no secret in it.
        remedy: what the reader does next: a command, a portal step or a link. May be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def write(self, file: Path) -> None:
        """Leaves the error for the command that started the program: JSON with ``class``, ``message`` and ``remedy``.

        Raises:
            OSError: the file cannot be written.
        """
        told = {"class": type(self).__name__, "message": self.message, "remedy": self.remedy}
        file.write_text(json.dumps(told), encoding="utf-8")

    @staticmethod
    def read(file: Path) -> ProvisionError | None:
        """The error that ``write`` left; None when there is none, or something else is in the file."""
        try:
            left = json.loads(file.read_text(encoding="utf-8"))
            kind = _kinds(ProvisionError).get(str(left["class"]), ProvisionError)
            return kind(str(left["message"]), remedy=str(left.get("remedy", "")))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _kinds(base: type[ProvisionError]) -> dict[str, type[ProvisionError]]:
    kinds = {base.__name__: base}
    for kind in base.__subclasses__():
        kinds |= _kinds(kind)
    return kinds


class Usage(ProvisionError):
    """The command line cannot be understood, or what it asks for was not confirmed."""

    exit_code = 2


class InvalidInput(ProvisionError):
    """A setting, a file or an argument is wrong; nothing was sent."""

    exit_code = 3


class SignInFailed(ProvisionError):
    """No token could be had, or it is for another tenant than the one intended."""

    exit_code = 4


class NotPermitted(ProvisionError):
    """The caller is signed in, but lacks the role or permission."""

    exit_code = 5


class ConsentPending(ProvisionError):
    """All is done except admin consent, which somebody else must give."""

    exit_code = 6


class Unreachable(ProvisionError):
    """The other side does not answer, or its TLS certificate is not trusted."""

    exit_code = 7


class StateUnavailable(ProvisionError):
    """The Pulumi state is locked, cannot be decrypted, or holds a half-finished run that could not be mended."""

    exit_code = 8


class EngineUnavailable(ProvisionError):
    """No Pulumi engine, language host or azuread plugin can be had on this machine."""

    exit_code = 9


class PolicyRefuses(ProvisionError):
    """A policy of the tenant forbids what was asked."""

    exit_code = 10


class WouldOverwrite(ProvisionError):
    """Something is already there and would be lost."""

    exit_code = 11


class Interrupted(ProvisionError):
    """Stopped by a signal; running again continues."""

    exit_code = 12


class Expiring(ProvisionError):
    """A client secret that is in use has ended, or ends within the span that was asked about."""

    exit_code = 13


class NotDelivered(ProvisionError):
    """A sink did not take or keep a new client secret; the one before stays valid and in use."""

    exit_code = 14


class ProblemsFound(ProvisionError):
    """A check found what stands in the way of sending mail; each finding says what to do."""

    exit_code = 15


class Undecided(ProvisionError):
    """No certain cause was found, but something that could stop mail could not be looked at, or only may apply."""

    exit_code = 16


class PartlyFailed(ProvisionError):
    """Some tenants of a fleet failed, each for a reason of its own; the others are done."""

    exit_code = 17
