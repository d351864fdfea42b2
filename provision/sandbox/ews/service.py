"""One request to ``Exchange.asmx`` and its answer, the same for both Exchanges.

Owns: the HTTP side of SOAP, which operation is which, impersonation, response messages and faults.
Does not own: how the caller proved who he is (``cloud``, ``onpremises.routes``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import Response

from provision.sandbox.ews import changes, folders, items, names, soap
from provision.sandbox.ews.call import VERSIONS, Call, Caller, Mailbox, Organization, connecting_address, server_version
from provision.sandbox.ews.errors import SENTENCES, EwsError, HttpRefusal
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

Operation = Callable[[Call], Iterator[Element | tuple[Element, ...] | EwsError]]

OPERATIONS: dict[str, Operation] = {
    "ConvertId": names.convert_id,
    "CreateAttachment": changes.create_attachment,
    "CreateItem": items.create_item,
    "DeleteAttachment": changes.delete_attachment,
    "DeleteItem": items.delete_item,
    "FindFolder": folders.find_folder,
    "FindItem": items.find_item,
    "GetAttachment": changes.get_attachment,
    "GetFolder": folders.get_folder,
    "GetItem": items.get_item,
    "ResolveNames": names.resolve_names,
    "SendItem": items.send_item,
    "UpdateItem": changes.update_item,
}
"""What is served; a further operation is one entry and its function."""
_WITHOUT_ITEMS = frozenset({"SendItem", "DeleteItem"})
"""Operations whose response messages have nothing in them."""
_WARNINGS = frozenset({"ErrorNameResolutionMultipleResults"})


async def respond(request: Request, organization: Organization, caller: Caller) -> Response:
    """Answers one authenticated request.

    Raises:
        HttpRefusal: 403, 405, 413 or 415 before SOAP.
    """
    world: World = request.app.state.world
    note(request.scope, tenant=caller.tenant)
    body = await _body(request)
    try:
        envelope, operation = _understood(body)
        own, acting = _mailbox(caller, organization, envelope.impersonation)
        if own is not None:
            organization.admit(caller, own, request.headers.get("user-agent", ""))
        call = Call(world, organization, caller, own, acting, envelope.operation)
        with world.directory.transaction():
            answer = _response(request, envelope.name, operation(call))
    except EwsError as error:
        note(request.scope, code=error.code)
        brief = SENTENCES[error.code] if error.details else error.sentence
        return _xml(soap.write(soap.fault(error.code, error.sentence, brief, error.details)), status=500)
    return _xml(soap.write(answer, server_version(organization)))


def _understood(body: bytes) -> tuple[soap.Envelope, Operation]:
    """The envelope and what serves its operation; raises EwsError for what is no request of this service."""
    try:
        envelope = soap.read(body)
    except soap.Malformed as error:
        raise _schema_violation(error) from None
    if envelope.version is not None and envelope.version not in VERSIONS:
        raise EwsError("ErrorInvalidServerVersion")
    operation = OPERATIONS.get(envelope.name)
    if operation is None:
        raise EwsError("ErrorInvalidOperation", f"The local tenant does not serve {envelope.name}.")
    return envelope, operation


async def _body(request: Request) -> bytes:
    if request.method != "POST":
        raise HttpRefusal(405, "method", {"Allow": "POST"})
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "text/xml":
        raise HttpRefusal(415, "content-type")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > soap.MAX_BODY:
            raise HttpRefusal(413, "size")
    return bytes(content)


def _schema_violation(error: soap.Malformed) -> EwsError:
    """The form of this refusal is in "Handling errors in EWS"."""
    where = f" Line {error.line}, position {error.position}."
    return EwsError(
        "ErrorSchemaValidation",
        f"The request failed schema validation: {error.violation}{where}",
        details=(
            ("LineNumber", str(error.line)),
            ("LinePosition", str(error.position)),
            ("Violation", error.violation),
        ),
    )


def _mailbox(caller: Caller, organization: Organization, sid: Element | None) -> tuple[Mailbox | None, str]:
    """The mailbox that is worked in, and the id that rights are asked of.

    Raises:
        EwsError: an application does not say for whom, the caller may not impersonate, or nobody has the address.
    """
    if sid is None:
        if caller.app_only:
            raise EwsError("ErrorInvalidExchangeImpersonationHeaderData")
        return organization.mailbox_of(caller.tenant, caller.identity), caller.identity
    if not caller.may_impersonate:
        raise EwsError("ErrorImpersonateUserDenied")
    found = organization.mailbox_at(caller.tenant, connecting_address(sid))
    if found is None:
        raise EwsError("ErrorNonExistentMailbox")
    return found, found.owner


def _response(request: Request, name: str, answers: Iterator[Element | tuple[Element, ...] | EwsError]) -> Element:
    """The operation's answer: one response message for each item."""
    rows = soap.element(soap.m("ResponseMessages"))
    for answer in answers:
        row = soap.element(soap.m(f"{name}ResponseMessage"))
        if isinstance(answer, EwsError):
            note(request.scope, code=answer.code)
            row.set("ResponseClass", "Warning" if answer.code in _WARNINGS else "Error")
            row.append(soap.element(soap.m("MessageText"), answer.sentence))
            row.append(soap.element(soap.m("ResponseCode"), answer.code))
            row.append(soap.element(soap.m("DescriptiveLinkKey"), "0"))
        else:
            row.set("ResponseClass", "Success")
            row.append(soap.element(soap.m("ResponseCode"), "NoError"))
            if name not in _WITHOUT_ITEMS:
                row.extend(answer if isinstance(answer, tuple) else (answer,))
        rows.append(row)
    return soap.element(soap.m(f"{name}Response"), children=[rows])


def _xml(content: bytes, status: int = 200) -> Response:
    return Response(content, status, _traced({}), media_type="text/xml")


def refuse(request: Request, refusal: HttpRefusal) -> Response:
    """The answer for a refusal before SOAP: no body, the reason in headers."""
    note(request.scope, code=refusal.layer)
    return Response(b"", refusal.status, _traced(refusal.headers))


def _traced(headers: Mapping[str, str]) -> dict[str, str]:
    return {"request-id": str(uuid.uuid4()), "Cache-Control": "private", **headers}
