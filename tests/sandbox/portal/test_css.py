"""The styles of Entra's pages, the portal and the product: readable in both schemes, nothing from the network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SANDBOX = Path(__file__).parents[3] / "provision" / "sandbox"
SHEETS = {name: SANDBOX / name / "templates" / f"{name}.css" for name in ("portal", "product")}
SHEETS["entra"] = SANDBOX / "entra" / "templates" / "base.html"
PAIRS = {
    "portal": [
        ("ink", "card"), ("ink", "ground"), ("muted", "card"), ("muted", "ground"), ("link", "card"),
        ("link", "ground"), ("brand-ink", "brand"), ("good", "good-ground"), ("soon", "soon-ground"),
        ("expired", "expired-ground"), ("head-ink", "head"), ("head-muted", "head"),
    ],
    "product": [
        ("ink", "card"), ("ink", "ground"), ("muted", "card"), ("muted", "ground"), ("link", "card"),
        ("brand-ink", "brand"), ("good", "good-ground"), ("warn", "warn-ground"), ("bad", "bad-ground"),
        ("bad", "card"),
    ],
    "entra": [
        ("ink", "card"), ("ink", "ground"), ("muted", "card"), ("bad", "card"), ("brand-ink", "brand"),
        ("ink", "quiet"), ("hint", "hint-ground"),
    ],
}  # fmt: skip
"""Text colour and what it stands on."""


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = colour if len(colour) == 6 else "".join(d * 2 for d in colour)
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_fields_have_the_contrast_of_wcag_aa(name: str, scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", SHEETS[name].read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]+)", blocks[scheme == "dark"]))
    poor = {f"{a} on {b}": contrast(colours[a], colours[b]) for a, b in PAIRS[name]}
    assert not {pair: ratio for pair, ratio in poor.items() if ratio < 4.5}
    assert contrast(colours["field"], colours["card"]) >= 3


@pytest.mark.parametrize("name", SHEETS)
def test_nothing_is_loaded_from_anywhere(name: str) -> None:
    assert not re.search(r"url\(|@import|https?:", SHEETS[name].read_text())
