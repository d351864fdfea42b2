"""A registration that another stack would go on changing is known by its tag."""

from __future__ import annotations

from provision.app.ownership import LISTED, other_stack, stack_tag, tags

OWN = stack_tag("office365-mail", "acme", "1")


def test_only_another_stacks_tag_counts() -> None:
    assert other_stack((LISTED, "theirs"), OWN) is None
    assert other_stack(tags("office365-mail", "acme", "2"), OWN) is None, "an earlier life of the same stack"
    assert other_stack(tags("office365-mail", "acme2", "1"), OWN) == "office365-mail/acme2"
