"""The ``$filter`` grammar: what it understands, and what it refuses in Graph's words."""

from __future__ import annotations

import pytest

from provision.sandbox.graph.errors import BadRequest
from provision.sandbox.graph.odata.filter import matches, parse

DOCUMENT = {
    "appId": "ABC",
    "displayName": "o'Neil & Co",
    "tags": ["x", "y"],
    "number": 3,
    "createdDateTime": "2026-01-02T00:00:00Z",
    "assignedLicenses": [{"skuId": "f245ecc8-75af-4f8e-b61f-27d8114de5f3"}],
    "accountEnabled": True,
    "mail": None,
    "status": {"errorCode": 50126},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("appId eq 'abc'", True),
        ("appId ne 'abc'", False),
        ("startswith(displayName,'O''N')", True),
        ("startsWith(displayName, 'Neil')", False),
        ("endsWith(displayName,'Co')", True),
        ("contains(displayName,'Neil')", True),
        ("tags/any(t:t eq 'x')", True),
        ("tags/all(t:t eq 'x')", False),
        ("tags/any()", True),
        ("tags/any(t:startsWith(t,'z'))", False),
        ("not (number gt 4)", True),
        ("number ge 3 and number lt 4", True),
        ("number in (1,3)", True),
        ("createdDateTime ge 2026-01-01", True),
        ("createdDateTime lt 2026-01-02T00:00:00Z", False),
        ("assignedLicenses/any(l:l/skuId eq f245ecc8-75af-4f8e-b61f-27d8114de5f3)", True),
        ("assignedLicenses/$count eq 0", False),
        ("mail eq null", True),
        ("accountEnabled eq true", True),
        ("status/errorCode eq 50126", True),
        ("appId eq 'no' or number eq 3 and accountEnabled eq false", False),
        ("(appId eq 'no' or number eq 3) and accountEnabled eq true", True),
        ("APPID eq 'ABC'", True),
    ],
)
def test_a_filter_selects(text, expected):
    assert matches(parse(text), DOCUMENT) is expected


@pytest.mark.parametrize(
    "text",
    [
        "appId eq",
        "appId eq 'a' and",
        "(appId eq 'x'",
        "displayName",
        "x ~ 1",
        "appId eq 'open",
        "eq 'x'",
        "foo(a,'1')",
        "",
    ],
)
def test_nonsense_is_refused_with_a_bad_request(text):
    with pytest.raises((BadRequest,)) as refused:
        parse(text)
    assert refused.value.message.startswith("Invalid filter clause: ")
