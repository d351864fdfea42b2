"""Permissions go by name; a role in place of a scope would reach every mailbox."""

from __future__ import annotations

import pytest

from provision.app.permissions import scope_ids
from provision.errors import InvalidInput
from provision.microsoft.objects import Permission

PUBLISHED = (
    Permission("id-send", "Mail.Send", "Scope"),
    Permission("id-send-role", "Mail.Send", "Role"),
    Permission("id-read", "User.Read", "Scope"),
    Permission("id-off", "offline_access", "Scope"),
    Permission("id-role", "Exchange.Only", "Role"),
    Permission("id-dead", "Mail.Dead", "Scope", is_enabled=False),
)


def test_a_name_that_is_both_resolves_to_the_scope() -> None:
    assert scope_ids(["Mail.Send", "offline_access"], PUBLISHED) == {"Mail.Send": "id-send", "offline_access": "id-off"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Exchange.Only", "application permission"),
        ("mail.send", "spelled Mail.Send"),
        ("Mail.Sent", "Did you mean Mail.Send"),
        ("Mail.Dead", "switched"),
        ("e383f46e-2787-4529-855e-0e479a3ffac0", "no delegated permission"),
    ],
)
def test_what_is_no_scope_is_told_apart(name: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        scope_ids([name], PUBLISHED)
    assert says in str(refused.value)
