"""A registration that another stack would go on changing is known by its tag."""

from __future__ import annotations

from provision.app.ownership import LISTED, former_name, other_stack, stack_tag, tags

OWN = stack_tag("office365-mail", "acme", "1")


def test_only_another_stacks_tag_counts() -> None:
    assert other_stack((LISTED, "theirs"), OWN) is None
    assert other_stack(tags("office365-mail", "acme", "2"), OWN) is None, "an earlier life of the same stack"
    assert other_stack(tags("office365-mail", "acme2", "1"), OWN) == "office365-mail/acme2"


def test_a_renamed_stack_is_known_by_its_instance() -> None:
    assert former_name(tags("office365-mail", "acme", "1"), OWN) is None, "its present name"
    assert former_name(tags("mail", "acme", "1"), OWN) == "mail/acme"
    assert former_name(tags("office365-mail", "old", "1"), OWN) == "office365-mail/old"
    assert former_name(tags("mail", "acme", "2"), OWN) is None, "another stack"
    assert former_name(tags("mail", "acme"), stack_tag("office365-mail", "acme")) is None, "nothing to know it by"
