"""A pause that an answer asks for is read the same way from every service."""

from __future__ import annotations

import email.message
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from provision.settings.retry_after import Headers, retry_after

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7.0), (" 7 ", 7.0), ("0", 0.0), ("1.5", 1.5), ("Wed, 21 Oct 2026 07:30:00 GMT", 120.0), (DATE, 0.0)],
)
def test_a_number_or_a_moment_by_the_answers_own_clock(told: str, seconds: float) -> None:
    assert retry_after({"Retry-After": told, "Date": DATE}) == seconds


def test_a_moment_that_is_past_asks_for_nothing() -> None:
    assert retry_after({"Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT", "Date": DATE}) == 0.0


def test_without_the_answers_clock_this_machines_counts() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    assert 290.0 < (retry_after({"Retry-After": until}) or 0.0) <= 300.0


@pytest.mark.parametrize("told", ["", "soon", "²", "-1", "nan", "inf", "1e3", "9" * 400, "1.2.3", "."])
def test_what_is_neither_is_nothing(told: str) -> None:
    assert retry_after({"Retry-After": told, "Date": DATE}) is None
    assert retry_after({}) is None


def test_whoevers_headers_they_are() -> None:
    message = email.message.Message()
    message["RETRY-AFTER"] = "7"
    kinds: list[Headers] = [httpx.Headers({"Retry-After": "7"}), {"retry-after": 7}, message]
    assert [retry_after(headers) for headers in kinds] == [7.0, 7.0, 7.0]
