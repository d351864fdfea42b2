"""Autodiscover: where a mailbox is reached by Exchange Web Services, in the three forms that clients ask in.

Owns: the wire of SOAP (``autodiscover.svc``), plain XML (``autodiscover.xml``) and JSON (``autodiscover.json``). Does
not own: who may ask, or where a mailbox is; a ``Finder`` says that. Sources: [MS-OXWSADISC] and "GetUserSettings
operation (SOAP)"; [MS-OXDSCLI] and "POX Autodiscover response for Exchange"; the JSON form as clients of Exchange
Online's second version read it (``Protocol``, ``Url``; ``ErrorCode``, ``ErrorMessage``).
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provision.sandbox.ews import soap as envelopes
from provision.sandbox.ews.errors import HttpRefusal
from provision.sandbox.requestlog import note

_A = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_WSA = "http://www.w3.org/2005/08/addressing"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_POX = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_POX_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_POX_REQUEST = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_MAX_BODY = 256 * 1024
_MAX_USERS = 90
"""Users of one request ("GetUserSettings operation (SOAP)": 100 is its limit; 90 was read as a server's default)."""
_SCHEMAS = (
    "Exchange2007, Exchange2007_SP1, Exchange2010, Exchange2010_SP1, Exchange2010_SP2, Exchange2013, Exchange2016"
)


@dataclass(frozen=True)
class Here:
    """The mailbox is at this Exchange."""

    name: str
    address: str
    url: str


@dataclass(frozen=True)
class Elsewhere:
    """The mailbox is at another Exchange, to be asked with another address."""

    address: str


@dataclass(frozen=True)
class NotFound:
    """Nobody here has this address."""


Found = Here | Elsewhere | NotFound
Finder = Callable[[str], Found]


async def _read(request: Request) -> Element:
    if request.method != "POST":
        raise HttpRefusal(405, "method", {"Allow": "POST"})
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise HttpRefusal(413, "size")
    try:
        return envelopes.parse(body)
    except envelopes.Malformed:
        raise HttpRefusal(400, "malformed") from None


def _a(name: str) -> str:
    return f"{{{_A}}}{name}"


async def soap(request: Request, find: Finder, build: tuple[int, int, int, int]) -> Response:
    """POST autodiscover.svc with ``GetUserSettings``."""
    root = await _read(request)
    asked = root.find(f"{{{envelopes.SOAP}}}Body/{_a('GetUserSettingsRequestMessage')}/{_a('Request')}")
    if asked is None:
        raise HttpRefusal(400, "malformed")
    users = [envelopes.text(user, _a("Mailbox")) for user in envelopes.below(asked, _a("Users"))]
    settings = [one.text or "" for one in envelopes.below(asked, _a("RequestedSettings"))]
    response = Element(_a("Response"))
    if not users or len(users) > _MAX_USERS or not settings:
        values = [("ErrorCode", "InvalidRequest"), ("ErrorMessage", "The request is invalid.")]
    else:
        values = [("ErrorCode", "NoError"), ("ErrorMessage", "")]
    response.extend(envelopes.element(_a(name), value) for name, value in values)
    if values[0][1] == "NoError":
        rows = [_user(request, user, find(user), settings) for user in users]
        response.append(envelopes.element(_a("UserResponses"), children=rows))
    major, minor, number, revision = build
    version = envelopes.element(_a("ServerVersionInfo"))
    names = ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber", "Version")
    figures = (major, minor, number, revision, "Exchange2016")
    version.extend(envelopes.element(_a(name), str(value)) for name, value in zip(names, figures, strict=True))
    action = envelopes.element(f"{{{_WSA}}}Action", f"{_A}/Autodiscover/GetUserSettingsResponse")
    header = envelopes.element(f"{{{envelopes.SOAP}}}Header", children=[action, version])
    message = envelopes.element(_a("GetUserSettingsResponseMessage"), children=[response])
    body = envelopes.element(f"{{{envelopes.SOAP}}}Body", children=[message])
    envelope = envelopes.element(f"{{{envelopes.SOAP}}}Envelope", children=[header, body])
    return _xml(envelope)


def _user(request: Request, user: str, found: Found, settings: list[str]) -> Element:
    made = Element(_a("UserResponse"))
    if isinstance(found, NotFound):
        note(request.scope, code="InvalidUser")
        code, sentence, target = "InvalidUser", f"Invalid user: '{user}'", None
    elif isinstance(found, Elsewhere):
        code, sentence, target = "RedirectAddress", "Redirection address.", found.address
    else:
        code, sentence, target = "NoError", "No error.", None
    made.append(envelopes.element(_a("ErrorCode"), code))
    made.append(envelopes.element(_a("ErrorMessage"), sentence))
    redirect = envelopes.element(_a("RedirectTarget"), target)
    if target is None:
        redirect.set(f"{{{_XSI}}}nil", "true")
    made.append(redirect)
    known = {} if not isinstance(found, Here) else _settings(found)
    missing = [name for name in settings if isinstance(found, Here) and name not in known]
    failures = envelopes.element(_a("UserSettingErrors"))
    for name in missing:
        row = envelopes.element(_a("UserSettingError"))
        values = (
            ("ErrorCode", "SettingIsNotAvailable"),
            ("ErrorMessage", f"The user setting '{name}' is not available."),
            ("SettingName", name),
        )
        row.extend(envelopes.element(_a(tag), value) for tag, value in values)
        failures.append(row)
    made.append(failures)
    rows = envelopes.element(_a("UserSettings"))
    for name in settings:
        if name in known:
            row = envelopes.element(_a("UserSetting"))
            row.set(f"{{{_XSI}}}type", "StringSetting")
            row.append(envelopes.element(_a("Name"), name))
            row.append(envelopes.element(_a("Value"), known[name]))
            rows.append(row)
    made.append(rows)
    return made


def _settings(found: Here) -> dict[str, str]:
    return {
        "UserDisplayName": found.name,
        "AutoDiscoverSMTPAddress": found.address,
        "InternalEwsUrl": found.url,
        "ExternalEwsUrl": found.url,
        "EwsSupportedSchemas": _SCHEMAS,
        "ExternalEwsVersion": "15.02.2562.017",
    }


async def pox(request: Request, find: Finder) -> Response:
    """POST autodiscover.xml."""
    root = await _read(request)
    asked = root.find(f"{{{_POX_REQUEST}}}Request")
    schema = "" if asked is None else envelopes.text(asked, f"{{{_POX_REQUEST}}}AcceptableResponseSchema")
    email = "" if asked is None else envelopes.text(asked, f"{{{_POX_REQUEST}}}EMailAddress")
    if schema != _POX_OUTLOOK:
        return _pox_error(_POX, "601", "Provider is not available")
    if not email:
        return _pox_error(_POX, "600", "Invalid Request")
    found = find(email)
    if isinstance(found, NotFound):
        note(request.scope, code="500")
        return _pox_error(_POX_OUTLOOK, "500", "The email address can't be found.")
    account = Element(f"{{{_POX_OUTLOOK}}}Account")
    response = Element(f"{{{_POX_OUTLOOK}}}Response")

    def add(parent: Element, *values: tuple[str, str]) -> None:
        parent.extend(envelopes.element(f"{{{_POX_OUTLOOK}}}{name}", value) for name, value in values)

    if isinstance(found, Elsewhere):
        add(account, ("Action", "redirectAddr"), ("RedirectAddr", found.address))
    else:
        person = Element(f"{{{_POX_OUTLOOK}}}User")
        add(person, ("DisplayName", found.name), ("AutoDiscoverSMTPAddress", found.address))
        response.append(person)
        add(account, ("AccountType", "email"), ("Action", "settings"))
        for kind in ("EXCH", "EXPR"):
            protocol = Element(f"{{{_POX_OUTLOOK}}}Protocol")
            add(protocol, ("Type", kind), ("ASUrl", found.url), ("EwsUrl", found.url), ("EmwsUrl", found.url))
            account.append(protocol)
    response.append(account)
    return _xml(envelopes.element(f"{{{_POX}}}Autodiscover", children=[response]))


def _pox_error(namespace: str, code: str, sentence: str) -> Response:
    """An error as [MS-OXDSCLI] has it: with HTTP status 200."""
    error = Element(f"{{{namespace}}}Error", {"Time": time.strftime("%H:%M:%S.0000000", time.gmtime()), "Id": "1"})
    values = (("ErrorCode", code), ("Message", sentence), ("DebugData", None))
    error.extend(envelopes.element(f"{{{namespace}}}{name}", value) for name, value in values)
    response = envelopes.element(f"{{{namespace}}}Response", children=[error])
    return _xml(envelopes.element(f"{{{_POX}}}Autodiscover", children=[response]))


def json(request: Request, found: Found) -> Response:
    """GET autodiscover.json: no sign-in is asked for; ``Protocol`` says what is looked for."""
    protocol = request.query_params.get("Protocol", "")
    if protocol.lower() not in {"ews", "autodiscoverv1"}:
        sentence = f"The given protocol value '{protocol}' is invalid. Supported values are 'Ews,AutodiscoverV1'"
        return JSONResponse({"ErrorCode": "InvalidProtocol", "ErrorMessage": sentence}, status_code=400)
    if not isinstance(found, Here):
        note(request.scope, code="UserNotFound")
        return JSONResponse(
            {"ErrorCode": "UserNotFound", "ErrorMessage": "The given user is not found."}, status_code=404
        )
    url = found.url
    if protocol.lower() == "autodiscoverv1":
        url = url.replace("/EWS/Exchange.asmx", "/autodiscover/autodiscover.xml")
    return JSONResponse({"Protocol": protocol, "Url": url})


def _xml(root: Element) -> Response:
    return Response(ET.tostring(root, encoding="utf-8", xml_declaration=True), media_type="text/xml")
