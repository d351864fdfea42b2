"""How long a secret still lives, in the portal's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provision.sandbox.portal.credentials import credentials

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def iso(days: float) -> str:
    return (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def secret(start: float, end: float) -> dict[str, str]:
    return {"displayName": "s", "keyId": "k", "hint": "abc", "startDateTime": iso(start), "endDateTime": iso(end)}


@pytest.mark.parametrize(
    ("start", "end", "state", "words"),
    [
        (-1, 700, "good", "700 days left"),
        (-1, 29.5, "soon", "29 days left"),
        (-1, 1, "soon", "1 day left"),
        (-1, 0.5, "soon", "less than a day left"),
        (-9, 0, "expired", "expired today"),
        (-9, -0.5, "expired", "expired today"),
        (-9, -1.5, "expired", "expired 1 day ago"),
        (-9, -3, "expired", "expired 3 days ago"),
        (2, 700, "pending", "not valid yet"),
    ],
)
def test_life_of_a_secret_in_colour_and_words(start: float, end: float, state: str, words: str) -> None:
    (shown,) = credentials({"passwordCredentials": [secret(start, end)]}, NOW.timestamp())
    assert (shown.state, shown.words) == (state, words)


def test_the_one_that_ends_first_stands_on_top_and_certificates_are_among_them() -> None:
    document = {"passwordCredentials": [secret(-1, 100)], "keyCredentials": [{**secret(-1, 10), "hint": None}]}
    assert [c.kind for c in credentials(document, NOW.timestamp())] == ["certificate", "secret"]


def test_odd_dates_do_not_break_the_page() -> None:
    (shown,) = credentials({"passwordCredentials": [{"keyId": "k", "endDateTime": "soon"}]}, NOW.timestamp())
    assert (shown.state, shown.name) == ("good", "(no name)")
