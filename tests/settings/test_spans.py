"""Spans of time on a command line: what is one, and what is told of everything else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from provision.settings.spans import span


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("60d", timedelta(days=60)),
        ("12h", timedelta(hours=12)),
        ("8w", timedelta(weeks=8)),
        ("15m", timedelta(minutes=15)),
        ("0s", timedelta(0)),
        ("3650d", timedelta(days=3650)),
    ],
)
def test_a_number_and_a_unit_is_a_span(text: str, length: timedelta) -> None:
    assert span(text) == length


@pytest.mark.parametrize(
    "text", ["", "60", "d", "-1d", "1.5h", "7 d", "7D", "1mo", "٣d", "7d\n", "3651d", "999999w", "9999999s"]
)
def test_anything_else_is_told_what_it_must_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"a number and a unit \(s, m, h, d, w\) like 7d, at most ten years"):
        span(text)
