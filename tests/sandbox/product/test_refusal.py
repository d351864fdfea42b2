"""Refusals are shown as they were received."""

from __future__ import annotations

from provision.sandbox.product.refusal import from_entra, from_graph

EXPIRED = (
    "AADSTS7000222: The provided client secret keys for app 'x' are expired.\r\n"
    "Trace ID: 1 Correlation ID: 2 Timestamp: 2026-11-23 10:00:00Z"
)


def test_entra_code_is_found_and_the_text_kept_whole() -> None:
    body = {"error": "invalid_client", "error_description": EXPIRED, "error_codes": [7000222], "trace_id": "1"}
    refused = from_entra("token", body, 401)
    assert refused.code == "AADSTS7000222"
    assert refused.sentence == "AADSTS7000222: The provided client secret keys for app 'x' are expired."
    assert refused.as_json()["detail"] == EXPIRED
    assert refused.as_json()["ids"] == {"trace_id": "1"}


def test_graph_code_message_and_request_id_are_kept() -> None:
    body = {"error": {"code": "ErrorAccessDenied", "message": "Access is denied.", "innerError": {"request-id": "7"}}}
    refused = from_graph(body, 403)
    assert (refused.code, refused.sentence, refused.details) == (
        "ErrorAccessDenied",
        "Access is denied.",
        {"request-id": "7"},
    )


def test_an_answer_that_is_no_graph_error_is_told_by_its_status() -> None:
    assert from_graph(None, 502).code == "HTTP 502"
    assert from_graph({"error": "text"}, 500).code == "HTTP 500"
