"""Which secret decides, and what is said of it: without a tenant, for every constellation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provision.microsoft.objects import Application, Certificate, Password
from provision.secrets.expiry import Known, Registration, read

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAMES = Known(names={"Mail Secret A": "a", "Mail Secret B": "b"})


def secret(key_id: str, days: float | None, name: str | None = None, *, starts: float = -1) -> Password:
    end = None if days is None else NOW + timedelta(days=days)
    return Password(key_id, name, NOW + timedelta(days=starts), end)


def verdict(
    *passwords: Password, known: Known = NAMES, certificates: tuple[Certificate, ...] = (), stack: str | None = "acme"
) -> Registration:
    application = Application("o", "c", "Mail", "AzureADMyOrg", passwords=passwords, certificates=certificates)
    return read(
        application,
        known,
        tenant_id="t",
        stack=stack,
        now=NOW,
        ahead=timedelta(0),
        within=timedelta(days=60),
    )


OURS, OTHER = "Mail Secret A", "clicked"


@pytest.mark.parametrize(
    ("passwords", "deciding", "fails"),
    [
        ([secret("x", 300, OURS)], "x", False),
        ([secret("x", 60, OURS)], "x", True),
        ([secret("x", 60.01, OURS)], "x", False),
        ([secret("x", None, OURS)], "x", False),
        ([secret("x", 300, OURS), secret("y", 10, "Mail Secret B")], "x", False),
        ([secret("x", 10, OURS), secret("y", 300, OTHER)], "x", True),
        ([secret("x", 0, OURS), secret("y", 300, OTHER)], "y", False),
        ([secret("x", 10, OTHER), secret("y", 300, OTHER)], "y", False),
        ([secret("x", 10, OTHER)], "x", True),
        ([secret("x", -10, OTHER), secret("y", -20, OTHER)], "x", True),
        ([secret("x", -10, OTHER), secret("y", -20, OURS)], "y", True),
        ([secret("x", 300, OURS, starts=1), secret("y", 90, OTHER)], "y", False),
        ([secret("x", 300, OURS, starts=1)], "x", True),
        ([], None, False),
    ],
)
def test_where_nobody_remembers_ours_decide_before_others_and_the_living_before_the_dead(
    passwords: list[Password], deciding: str | None, fails: bool
) -> None:
    for order in (passwords, passwords[::-1]):
        found = verdict(*order)
        assert (found.deciding.key_id if found.deciding else None) == deciding
        assert bool(found.problem) is bool(found.remedy) is fails


@pytest.mark.parametrize(("days", "fails"), [(300, False), (10, True), (-1, True)])
def test_the_one_in_use_decides_whatever_else_is_there(days: float, fails: bool) -> None:
    known = Known(slots={"x": "a"}, names=NAMES.names, in_use="x")
    others = [secret("y", 500, "Mail Secret B"), secret("z", 600, OTHER)]
    found = verdict(secret("x", days), *others, known=known)
    assert found.deciding is not None
    assert (found.deciding.key_id, found.deciding.slot, found.deciding.in_use) == ("x", "a", True)
    assert bool(found.problem) is fails


def test_one_in_use_that_is_gone_is_the_problem_itself() -> None:
    certificate = Certificate("k", "mail", NOW, NOW + timedelta(days=300))
    found = verdict(secret("y", 500, OURS), known=Known(in_use="x"), certificates=(certificate,))
    assert found.deciding is None
    assert found.problem == "The client secret in use (x) of Mail is no longer there: somebody removed it."
    assert found.remedy == "Renew it: provision rotate --stack acme --now"


def test_each_sentence_says_what_which_when_and_what_to_do() -> None:
    assert verdict(secret("x", 10.5, OURS)).problem == (
        "The client secret Mail Secret A (x) of Mail ends 2026-12-05 00:00 UTC, in 10 days."
    )
    assert verdict(secret("x", 0.5, OURS)).problem.endswith("ends 2026-11-25 00:00 UTC, in 12 hours.")
    ended = verdict(secret("x", -1), stack=None)
    assert ended.problem == "The client secret without a name (x) of Mail ended 2026-11-23 12:00 UTC."
    assert ended.remedy == "Renew it: provision rotate --client-id c --sink KIND:PLACE --now"
    assert verdict(secret("x", 9, OURS, starts=2)).problem.endswith("is not valid before 2026-11-26 12:00 UTC.")


def test_what_ends_soon_without_deciding_is_a_note() -> None:
    found = verdict(secret("x", 300, OURS), secret("y", 10, OTHER), secret("z", -10, OTHER))
    (note,) = found.notes
    assert note.startswith("The client secret clicked (y) of Mail ends 2026-12-04 12:00 UTC, in 10 days.")
    assert note.endswith("not the one that counts, which is x.")
    assert not found.problem


def test_days_left_are_whole_days_that_are_really_left() -> None:
    found = verdict(secret("v", -0.1), secret("w", 0.9), secret("x", 1), secret("y", 1.9), secret("z", None))
    assert [(entry.key_id, found.days_left(entry)) for entry in found.entries] == [
        ("v", -1),
        ("w", 0),
        ("x", 1),
        ("y", 1),
        ("z", None),
    ]


def test_a_name_cannot_steer_the_terminal_of_whoever_reads_it() -> None:
    found = verdict(secret("x", 10, "a\x1b[2J\n::error::b\u202e"))
    assert found.entries[0].name == "a\ufffd[2J\ufffd::error::b\ufffd"
    assert found.entries[0].name in found.problem


def cert(key_id: str, days: float, name: str | None = None) -> Certificate:
    return Certificate(key_id, name, NOW - timedelta(days=1), NOW + timedelta(days=days))


def test_a_certificate_that_the_journal_knows_to_be_in_use_decides_beside_secrets_of_others() -> None:
    known = Known(slots={"c": "a"}, names=NAMES.names, certificate_in_use="c")
    found = verdict(secret("x", 500, OTHER), known=known, certificates=(cert("c", 10), cert("d", 300)), stack=None)
    assert found.deciding is not None
    assert (found.deciding.key_id, found.deciding.slot, found.deciding.in_use) == ("c", "a", True)
    assert found.problem
    assert found.remedy == "Renew it: provision credential certificate --client-id c --sink KIND:PLACE --now"


@pytest.mark.parametrize(("secret_days", "certificate_days", "deciding"), [(10, 300, "x"), (300, 10, "c")])
def test_where_both_kinds_are_in_use_the_one_that_ends_first_decides(
    secret_days: float, certificate_days: float, deciding: str
) -> None:
    known = Known(slots={"x": "a", "c": "a"}, in_use="x", certificate_in_use="c")
    found = verdict(secret("x", secret_days), known=known, certificates=(cert("c", certificate_days),))
    assert found.deciding is not None
    assert found.deciding.key_id == deciding
    assert found.problem


def test_a_certificate_in_use_that_is_gone_is_said_whatever_else_lives() -> None:
    found = verdict(secret("x", 300), known=Known(in_use="x", certificate_in_use="c"))
    assert found.problem == "The certificate in use (c) of Mail is no longer there: somebody removed it."
    assert found.remedy == "Renew it: provision credential certificate --stack acme --sink KIND:PLACE --now"
