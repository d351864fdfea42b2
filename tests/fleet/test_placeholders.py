"""A placeholder means the same in a sink and in a credential's place."""

from __future__ import annotations

import pytest

from provision.errors import InvalidInput
from provision.fleet import credentials, placeholders
from provision.fleet.source.fields import BY_NAME
from provision.fleet.tenant import CredentialReference

WRONG = {
    "unknown": ("vault:a/{kee}#b", r"has an unknown placeholder \{kee\}"),
    "letter case": ("vault:a/{companycode}#b", r"has an unknown placeholder \{companycode\}"),
    "empty": ("vault:a/{}#b", r"has an unknown placeholder \{\}"),
    "open": ("vault:a/{key#b", "has a brace that is not closed"),
    "closed twice": ("vault:a/{key}}#b", "has a brace that is not closed"),
}


@pytest.mark.parametrize(("place", "sentence"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_the_one_is_wrong_in_the_other(place: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BY_NAME["sinks"].check(place)
    with pytest.raises(InvalidInput, match=sentence):
        credentials.check(CredentialReference("partner", "client-secret", "1", secret=place))


def test_what_is_right_is_filled_in_wherever_it_stands() -> None:
    place = "vault:{tenant}/{key}#{companyCode}"
    assert BY_NAME["sinks"].check(place) == place
    credentials.check(CredentialReference("partner", "client-secret", "1", secret=place))
    values = {"key": "north-wind", "tenant": "northwind.com", "companyCode": "NW"}
    assert placeholders.filled(place, values) == "vault:northwind.com/north-wind#NW"


@pytest.mark.parametrize("value", [None, "", "..", "../x", "a/b", "a#b", "{key}"])
def test_nothing_is_filled_in_that_is_missing_or_leads_elsewhere(value: str | None) -> None:
    with pytest.raises(placeholders.Unfilled) as left:
        placeholders.filled("vault:a/{key}#b", {"key": value})
    assert (left.value.name, left.value.value) == ("key", value)
