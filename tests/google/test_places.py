"""Where Google is, and what the local tenant's variables change."""

from __future__ import annotations

import pytest

from provision.errors import InvalidInput
from provision.google import places


def test_without_variables_it_is_google() -> None:
    found = places.read({})
    assert (found.smtp_host, found.smtp_port, found.smtps_port) == ("smtp.gmail.com", 587, 465)
    assert found.directory == "https://admin.googleapis.com"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (places.SMTP_ADDRESS, "localhost"),
        (places.SMTPS_ADDRESS, "localhost:99999"),
        (places.API_URL, "http://localhost:8443"),
    ],
)
def test_a_variable_that_is_no_address_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        places.read({name: value})
