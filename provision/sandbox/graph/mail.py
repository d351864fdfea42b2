"""``sendMail`` and reading mail back.

Owns: checking a message, the copy in Sent Items, the folders ``inbox`` and ``sentitems``. Does not own: SMTP, EWS, and
delivery (``submission.post``).
Sources: "user: sendMail" (202, ``saveToSentItems`` defaults to true), "List messages"; the codes
``ErrorInvalidRecipients``, ``ErrorSendAsDenied``, ``MailboxNotEnabledForRESTAPI``, ``ErrorInvalidUser`` and
``ErrorAccessDenied`` as quoted in public issue threads of msgraph-sdk-dotnet and microsoft-graph-docs.
"""

from __future__ import annotations

import base64
import re
import uuid
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.exchange import applications, mailboxes
from provision.sandbox.graph import collection, errors, mail_as_mime, schema
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.submission.post import Post, Posting

_ADDRESS = re.compile(r"[^@\s<>()\[\],;:\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_MAX_RECIPIENTS = 500
_MAX_INLINE_ATTACHMENT = 3 * 1024 * 1024
_RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients")
_FOLDERS = {"inbox": "inbox", "sentitems": "sentitems"}
_BASIC_HIDDEN = ("body", "bodyPreview", "uniqueBody")


def _mailbox_owner(call: Call) -> tuple[Document, Document]:
    """The user whom the path names, and his mailbox.

    Raises:
        GraphError: no such user, no mailbox, or one outside of the scopes to which Exchange limits the application.
    """
    key = call.keys.get("user") or call.caller.object_id
    if schema.is_guid(key):
        user = call.directory.get(call.tenant, "user", key.lower())
    else:
        found = call.directory.find(call.tenant, "user", userPrincipalName=key)
        found = found or call.directory.find(call.tenant, "user", mail=key)
        user = found[0] if found else None
    if user is None:
        raise errors.GraphError(f"The requested user '{key}' is invalid.", code="ErrorInvalidUser", status=404)
    mailbox = mailboxes.of_user(call.directory, call.tenant, user["id"])
    if mailbox is None:
        raise errors.GraphError(
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            code="MailboxNotEnabledForRESTAPI",
            status=404,
        )
    assignments = call.role_assignments
    if assignments is not None and not any(
        applications.in_scope(call.directory, call.tenant, row, mailbox) for row in assignments
    ):
        raise errors.GraphError(
            "Access is denied. Check credentials and try again.", code="ErrorAccessDenied", status=403
        )
    return user, mailbox


def send_mail(call: Call) -> Answer:
    """POST /me/sendMail and /users/{id}/sendMail: 202 with an empty body."""
    sender, mailbox = _mailbox_owner(call)
    if call.caller.delegated and sender["id"] != call.caller.object_id:
        shared = "mail.send.shared" in call.caller.permissions
        if not shared or call.caller.object_id not in mailbox["_sendAs"]:
            raise errors.GraphError(
                "Access is denied. Check credentials and try again.", code="ErrorAccessDenied", status=403
            )
    asked = _parameters(call.body)
    message = asked.get("message")
    if message is None:
        raise errors.GraphError(
            "The request is missing the required parameter 'Message'.", code="ErrorInvalidParameter"
        )
    if not isinstance(message, dict):
        raise errors.schema_mismatch("message")
    attachments = _attachments(message.get("attachments"))
    values = _message_values({k: v for k, v in message.items() if k != "attachments"})
    _check_sender(call, mailbox, values)
    recipients = _recipients(values)
    stored = _complete(call, sender, values, attachments)
    with call.directory.transaction():
        if asked.get("saveToSentItems", True) is not False:
            call.directory.insert(
                call.tenant, "message", {**stored, "id": _new_id(), "_userId": sender["id"], "_folder": "sentitems"}
            )
        posting = Posting(call.tenant, sender["id"], mailbox["PrimarySmtpAddress"], tuple(recipients), stored)
        Post(call.directory).deliver(posting)
    return Answer(status=202)


def _parameters(body: Any) -> Document:
    if not isinstance(body, dict):
        raise errors.unreadable_json()
    names = {"message": "message", "savetosentitems": "saveToSentItems"}
    result: Document = {}
    for sent, value in body.items():
        if "@odata." in sent:
            continue
        if sent.lower() not in names:
            raise errors.BadRequest(
                f"The parameter '{sent}' in the request payload is not a valid parameter for the operation 'sendMail'."
            )
        result[names[sent.lower()]] = value
    if not isinstance(result.get("saveToSentItems", True), bool | None):
        raise errors.schema_mismatch("saveToSentItems")
    return result


def _message_values(message: Document) -> Document:
    """The message's checked properties; Exchange's word for an unknown one is RequestBodyRead."""
    try:
        return schema.check("message", message, create=True).values
    except errors.GraphError as error:
        if "does not exist on type" not in error.message:
            raise
        text = error.message.replace("Microsoft.DirectoryServices.", "Microsoft.OutlookServices.")
        text = text.removesuffix(".") + " or mark the type as open type."
        raise errors.GraphError(text, code="RequestBodyRead") from None


def _attachments(rows: Any) -> list[Document]:
    if not isinstance(rows, list | None):
        raise errors.schema_mismatch("attachments")
    result = []
    for row in rows or []:
        declared = str(row.get("@odata.type", "")).removeprefix("#") if isinstance(row, dict) else ""
        if declared != "microsoft.graph.fileAttachment":
            raise errors.GraphError(
                "Invalid attachment type: only fileAttachment can be sent.", code="ErrorInvalidRequest"
            )
        values = schema.check("fileAttachment", row, create=True).values
        content = base64.b64decode(values.get("contentBytes") or "")
        if not values.get("name"):
            raise errors.GraphError("Required property 'name' is missing.", code="ErrorInvalidRequest")
        if len(content) > _MAX_INLINE_ATTACHMENT:
            raise errors.GraphError(
                "The size of the attachment exceeds the allowable limit.", code="ErrorMessageSizeExceeded", status=413
            )
        result.append({"id": _new_id(), "size": len(content), "isInline": False, **values})
    return result


def _check_sender(call: Call, mailbox: Document, values: Document) -> None:
    """Refuses ``from`` and ``sender`` of another mailbox, unless its owner lets this one's user send as it."""
    own = mailboxes.addresses(mailbox)
    for name in ("from", "sender"):
        address = ((values.get(name) or {}).get("emailAddress") or {}).get("address")
        if not address or address.lower() in own:
            continue
        other = mailboxes.by_address(call.directory, call.tenant, address)
        if other is None or mailbox["_userId"] not in other["_sendAs"]:
            raise errors.GraphError(
                "The user account which was used to submit this request does not have the right to send mail on behalf "
                "of the specified sending account.",
                code="ErrorSendAsDenied",
                status=403,
            )


def _recipients(values: Document) -> list[str]:
    found = []
    for name in _RECIPIENTS:
        for row in values.get(name) or []:
            address = ((row or {}).get("emailAddress") or {}).get("address") or ""
            if not _ADDRESS.fullmatch(address):
                raise errors.GraphError(
                    f"At least one recipient is not valid., Recipient '{address}' is not resolved. All recipients "
                    "must be resolved before a message can be submitted.",
                    code="ErrorInvalidRecipients",
                )
            found.append(address.lower())
    if not found:
        raise errors.GraphError("At least one recipient is required.", code="ErrorInvalidRecipients")
    if len(found) > _MAX_RECIPIENTS:
        raise errors.GraphError("The message has too many recipients.", code="ErrorExceededMessageLimit")
    return list(dict.fromkeys(found))


def _new_id() -> str:
    """An id in the form of Exchange's: base64url, long, letter case significant."""
    return "AAMkA" + base64.urlsafe_b64encode(uuid.uuid4().bytes * 4).rstrip(b"=").decode()


def _complete(call: Call, sender: Document, values: Document, attachments: list[Document]) -> Document:
    now = call.now()
    address = sender["mail"] or sender["userPrincipalName"]
    me = {"emailAddress": {"name": sender["displayName"], "address": address}}
    body = {"contentType": "text", "content": "", **(values.get("body") or {})}
    plain = re.sub(r"<[^>]+>", " ", body["content"] or "")
    return {
        "createdDateTime": now,
        "lastModifiedDateTime": now,
        "categories": values.get("categories") or [],
        "receivedDateTime": now,
        "sentDateTime": now,
        "hasAttachments": bool(attachments),
        "internetMessageId": values.get("internetMessageId") or f"<{uuid.uuid4()}@{address.partition('@')[2]}>",
        "subject": values.get("subject") or "",
        "bodyPreview": " ".join(plain.split())[:255],
        "importance": values.get("importance") or "normal",
        "conversationId": _new_id(),
        "isDeliveryReceiptRequested": values.get("isDeliveryReceiptRequested") or False,
        "isReadReceiptRequested": values.get("isReadReceiptRequested") or False,
        "isRead": True,
        "isDraft": False,
        "inferenceClassification": "focused",
        "body": body,
        "sender": me,
        "from": values.get("from") or me,
        "toRecipients": values.get("toRecipients") or [],
        "ccRecipients": values.get("ccRecipients") or [],
        "bccRecipients": values.get("bccRecipients") or [],
        "replyTo": values.get("replyTo") or [],
        "flag": {"flagStatus": "notFlagged"},
        "_attachments": attachments,
        "_via": "graph",
        "_appId": call.caller.app_id,
    }


def _may_read(call: Call, user: Document) -> None:
    if call.caller.delegated and user["id"] != call.caller.object_id:
        raise errors.GraphError(
            "Access is denied. Check credentials and try again.", code="ErrorAccessDenied", status=403
        )


def _basic(call: Call, message: Document) -> Document:
    """Without the body when the caller has nothing more than ``Mail.ReadBasic``."""
    mail = {p for p in call.caller.permissions if p.startswith("mail.read")}
    if mail - {"mail.readbasic", "mail.readbasic.all"}:
        return message
    return {k: v for k, v in message.items() if k not in _BASIC_HIDDEN}


def _messages(call: Call, user: Document, folder: str | None) -> list[Document]:
    rows = call.directory.find(call.tenant, "message", fresh=True, _userId=user["id"])
    rows = [row for row in rows if folder is None or row["_folder"] == folder]
    rows.sort(key=lambda row: str(row["receivedDateTime"]), reverse=True)
    return [_basic(call, row) for row in rows]


def list_messages(call: Call) -> Answer:
    """GET /users/{id}/messages: all folders, newest first."""
    user, _ = _mailbox_owner(call)
    _may_read(call, user)
    return collection.many(call, "message", _messages(call, user, None), context=f"users('{user['id']}')/messages")


def list_folder_messages(call: Call) -> Answer:
    """GET /users/{id}/mailFolders/{inbox or sentitems}/messages."""
    user, _ = _mailbox_owner(call)
    _may_read(call, user)
    folder = _FOLDERS.get(call.keys["folder"].lower())
    if folder is None:
        raise errors.GraphError("Id is malformed.", code="ErrorInvalidIdMalformed")
    context = f"users('{user['id']}')/mailFolders('{folder}')/messages"
    return collection.many(call, "message", _messages(call, user, folder), context=context)


def _message(call: Call) -> tuple[Document, Document]:
    """The user and the message that the path names."""
    user, _ = _mailbox_owner(call)
    _may_read(call, user)
    for row in _messages(call, user, None):
        if row["id"] == call.keys["message"]:
            return user, row
    raise errors.GraphError("The specified object was not found in the store.", code="ErrorItemNotFound", status=404)


def get_message(call: Call) -> Answer:
    """GET /users/{id}/messages/{id}."""
    user, row = _message(call)
    return collection.one(call, "message", row, context=f"users('{user['id']}')/messages")


def list_attachments(call: Call) -> Answer:
    """GET /users/{id}/messages/{id}/attachments."""
    user, row = _message(call)
    rows = [{"@odata.type": "#microsoft.graph.fileAttachment", **attachment} for attachment in row["_attachments"]]
    context = f"users('{user['id']}')/messages('{row['id']}')/attachments"
    return collection.many(call, "fileAttachment", rows, context=context)


def get_mime(call: Call) -> Answer:
    """GET /users/{id}/messages/{id}/$value: the message as it came over SMTP, else written from its properties."""
    _, row = _message(call)
    return Answer(text=mail_as_mime.of(call.directory, row), media_type="text/plain")
