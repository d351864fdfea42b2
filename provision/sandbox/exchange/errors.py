"""Every refusal of Exchange Online's administration interface: status, code, exception type and Exchange's sentence.

Owns: the words and the body around them. Does not own: when they are said (``parameters``, the cmdlets).

Sources: bodies of real answers quoted in public: an object that is not there (Microsoft365DSC issue 2998), an
unknown parameter and a value of the wrong type (test data "Live failure bodies" of a public client, 2026-07-23), a
refused or unknown cmdlet (403 without a readable body: the same client and another one, measured 2026-09-25). The
sentences of the other refusals are those of PowerShell and of Exchange's own resource strings; for them the status,
and the ``Ex…`` number where it is empty, were not read at a source.
"""

from __future__ import annotations

from typing import Any

from provision.sandbox.directory import Document

SERVER = "LOCALDC001.LOCAL.PROD.OUTLOOK.COM"
"""Stands for the domain controller that Exchange names in its sentences."""
_SERVICE = "Microsoft.Exchange.Admin.OData.Core.ODataServiceException"
_BINDING = "System.Management.Automation.ParameterBindingException"
_COMMAND = "Microsoft.Exchange.AdminApi.CommandInvocation"
_TASKS = "Microsoft.Exchange.Configuration.Tasks"


class ExchangeError(Exception):
    """A refusal on its way to the client.

    Args:
        message: Exchange's sentence.
        kind: the .NET exception's full name.
        number: Exchange's number of the sentence (``Ex6F9304``); empty where PowerShell says it.
        status: the HTTP status.
        code: ``error.code``.
        general: ``error.message``.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        number: str = "",
        status: int = 400,
        code: str = "BadRequest",
        general: str = "Error executing cmdlet",
    ) -> None:
        super().__init__(message)
        self.message, self.kind, self.number = message, kind, number
        self.status, self.code, self.general = status, code, general

    def body(self) -> Document:
        """The JSON body."""
        inner: dict[str, Any] = {"message": self.general, "type": _SERVICE, "stacktrace": ""}
        inner["internalexception"] = {"message": self.message, "type": self.kind, "stacktrace": ""}
        detail = {"code": "Client", "target": "", "message": f"{self.number}|{self.kind}|{self.message}"}
        return {"error": {"code": self.code, "message": self.general, "details": [detail], "innererror": inner}}


class Denied(Exception):
    """The caller may not run this cmdlet, or there is no such cmdlet: 403 and nothing else.

    Real answers carry a run of NUL bytes that claims to be compressed; clients see an empty or unreadable body.
    """


def _invalid(message: str, kind: str) -> ExchangeError:
    return ExchangeError(message, kind=kind, general="Invalid Operation")


def unknown_parameter(name: str) -> ExchangeError:
    """A parameter that the cmdlet does not have, or not for this caller.

    PowerShell itself says "A parameter cannot be found that matches parameter name …" before it asks the service.
    """
    return _invalid(
        "Parameter set cannot be resolved using the specified named parameters. Invalid cmdlet parameters specified. "
        + name,
        f"{_COMMAND}.AmbiguousParameterSetException",
    )


def no_parameter_set() -> ExchangeError:
    """Parameters that do not go together."""
    return _invalid(
        "Parameter set cannot be resolved using the specified named parameters.",
        f"{_COMMAND}.AmbiguousParameterSetException",
    )


def missing_parameters(names: list[str]) -> ExchangeError:
    """Mandatory parameters that were not given."""
    return _invalid(
        f"Cannot process command because of one or more missing mandatory parameters: {' '.join(names)}.", _BINDING
    )


def empty_argument(name: str) -> ExchangeError:
    """A mandatory parameter given as null or an empty text."""
    return _invalid(f"Cannot bind argument to parameter '{name}' because it is null.", _BINDING)


def wrong_type(name: str, value: Any, type_name: str, because: str) -> ExchangeError:
    """A value that cannot be made into the parameter's type."""
    return _invalid(
        f"Cannot process argument transformation on parameter '{name}'. Cannot convert value \"{value}\" to type "
        f'"{type_name}". {because}',
        f"{_COMMAND}.ParameterTransformationException",
    )


def bad_body(message: str) -> ExchangeError:
    """A request that is no cmdlet at all."""
    return _invalid(message, _SERVICE)


def not_found(identity: str) -> ExchangeError:
    """An object that is not there, in the words of most cmdlets."""
    return ExchangeError(
        f"The operation couldn't be performed because object '{identity}' couldn't be found on '{SERVER}'.",
        kind=f"{_TASKS}.ManagementObjectNotFoundException",
        number="Ex6F9304",
        status=404,
        code="NotFound",
    )


def ambiguous(identity: str) -> ExchangeError:
    """An identity that fits more than one object."""
    return ExchangeError(
        f"The operation couldn't be performed because '{identity}' matches multiple entries.",
        kind=f"{_TASKS}.ManagementObjectAmbiguousException",
    )


def already_exists(name: str) -> ExchangeError:
    """A name that another object has."""
    return ExchangeError(
        f'The name "{name}" is already being used. Please try another name.',
        kind="Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException",
        status=409,
        code="Conflict",
    )


def refused(message: str, kind: str = f"{_TASKS}.TaskInvalidOperationException") -> ExchangeError:
    """What a cmdlet does not do, in its own words."""
    return ExchangeError(message, kind=kind)


def bad_filter(text: str, reason: str) -> ExchangeError:
    """A filter that cannot be read."""
    return _invalid(
        f'Cannot bind parameter \'Filter\' to the target. Exception setting "Filter": "{reason} OPath filter: {text}"',
        _BINDING,
    )


def unfilterable(text: str, name: str) -> ExchangeError:
    """A filter on a property that cannot be filtered by."""
    return bad_filter(
        text,
        f'"{name}" is not a recognized filterable property. For a complete list of filterable properties see the '
        "command help.",
    )
