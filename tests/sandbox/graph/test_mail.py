"""sendMail and what arrives."""

from __future__ import annotations

import base64

import pytest

ADA, BOB = "ada@contoso.onmicrosoft.com", "bob@contoso.onmicrosoft.com"


def _to(*addresses):
    return [{"emailAddress": {"address": address}} for address in addresses]


def _mail(**changes):
    message = {
        "subject": "Invoice",
        "body": {"contentType": "HTML", "content": "<p>Hello</p>"},
        "toRecipients": _to(BOB),
        **changes,
    }
    return {"message": message}


def _inbox(graph, address):
    return graph.ok("GET", f"/users/{address}/mailFolders/inbox/messages")["value"]


def test_a_signed_in_user_sends_and_it_arrives(graph):
    token = graph.user_token("ada", "Mail.Send")
    answer = graph.call("POST", "/me/sendMail", json=_mail(bccRecipients=_to("reader@other.example")), token=token)
    assert (answer.status_code, answer.content) == (202, b"")
    (received,) = _inbox(graph, BOB)
    assert received["subject"] == "Invoice"
    assert received["from"]["emailAddress"]["address"] == ADA
    assert received["bodyPreview"] == "Hello"
    assert (received["isRead"], received["bccRecipients"]) == (False, [])
    (sent,) = graph.ok("GET", f"/users/{ADA}/mailFolders/sentitems/messages")["value"]
    assert sent["bccRecipients"] == [{"emailAddress": {"address": "reader@other.example"}}]
    assert graph.ok("GET", f"/users/{BOB}/messages/{received['id']}")["id"] == received["id"]


def _outgoing(graph):
    rows = graph.directory.all(graph.tenant, "outgoingMessage", fresh=True)
    return [(row["subject"], row["to"], row["sender"]) for row in rows]


def test_mail_for_the_outside_is_kept_for_the_portal_and_an_unknown_colleague_comes_back(graph):
    """As with SMTP: sendMail answers 202 to both."""
    to = _to("reader@other.example", "nobody@contoso.onmicrosoft.com", BOB)
    assert graph.call("POST", f"/users/{ADA}/sendMail", json=_mail(toRecipients=to)).status_code == 202
    assert _outgoing(graph) == [("Invoice", "reader@other.example", ADA)]
    (report,) = _inbox(graph, ADA)
    assert report["subject"] == "Undeliverable: Invoice"
    assert "nobody wasn't found at contoso.onmicrosoft.com" in report["body"]["content"]
    assert [row["subject"] for row in _inbox(graph, BOB)] == ["Invoice"]


def test_an_alias_in_the_custom_domain_is_the_same_mailbox(graph):
    graph.call("POST", f"/users/{ADA}/sendMail", json=_mail(toRecipients=_to("BOB@contoso.example")))
    assert len(_inbox(graph, BOB)) == 1


def test_without_saving_nothing_is_in_sent_items(graph):
    body = {**_mail(), "saveToSentItems": False}
    assert graph.call("POST", f"/users/{ADA}/sendMail", json=body).status_code == 202
    assert graph.ok("GET", f"/users/{ADA}/mailFolders/sentitems/messages")["value"] == []


def test_an_attachment_travels(graph):
    file = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "cmr.pdf",
        "contentType": "application/pdf",
        "contentBytes": base64.b64encode(b"%PDF").decode(),
    }
    assert graph.call("POST", f"/users/{ADA}/sendMail", json=_mail(attachments=[file])).status_code == 202
    assert _inbox(graph, BOB)[0]["hasAttachments"] is True


@pytest.mark.parametrize(
    ("sender", "body", "status", "code"),
    [
        (ADA, _mail(toRecipients=_to("not an address")), 400, "ErrorInvalidRecipients"),
        (ADA, _mail(toRecipients=[]), 400, "ErrorInvalidRecipients"),
        (ADA, {}, 400, "ErrorInvalidParameter"),
        (ADA, _mail(attachments=3), 400, "Request_BadRequest"),
        (ADA, {"message": {"toRecipients": _to(BOB), "colour": "red"}}, 400, "RequestBodyRead"),
        (ADA, {**_mail(), "color": 1}, 400, "BadRequest"),
        (ADA, _mail(body={"contentType": "rtf", "content": ""}), 400, "Request_BadRequest"),
        (ADA, _mail(**{"from": {"emailAddress": {"address": BOB}}}), 403, "ErrorSendAsDenied"),
        ("reader@contoso.onmicrosoft.com", _mail(), 404, "MailboxNotEnabledForRESTAPI"),
        ("nobody@contoso.onmicrosoft.com", _mail(), 404, "ErrorInvalidUser"),
    ],
)
def test_what_exchange_refuses_is_refused_and_nothing_is_sent(graph, sender, body, status, code):
    answer = graph.call("POST", f"/users/{sender}/sendMail", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert graph.directory.all(graph.tenant, "message") == []


def test_a_delegated_token_is_for_ones_own_mailbox(graph):
    token = graph.user_token("ada", "Mail.Send", "Mail.Read")
    answer = graph.call("POST", f"/users/{BOB}/sendMail", json=_mail(), token=token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    assert graph.call("GET", f"/users/{BOB}/messages", token=token).status_code == 403


def test_the_shared_mailbox_sends_with_the_application_permission(graph):
    assert graph.call("POST", "/users/dispatch@contoso.onmicrosoft.com/sendMail", json=_mail()).status_code == 202
    assert _inbox(graph, BOB)[0]["from"]["emailAddress"]["name"] == "Dispatch"


def test_mail_read_basic_shows_no_body(graph):
    graph.call("POST", f"/users/{ADA}/sendMail", json=_mail())
    token = graph.user_token("bob", "Mail.ReadBasic")
    (message,) = graph.ok("GET", "/me/mailFolders/inbox/messages", token=token)["value"]
    assert "body" not in message
