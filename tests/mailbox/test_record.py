"""The record: values before are noted before they are changed, survive kills, and come off in order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from provision.errors import InvalidInput, StateUnavailable
from provision.journal import open_store
from provision.journal.directory import Directory
from provision.mailbox.planning import Change
from provision.mailbox.record import Record, new_run
from provision.mailbox.values import Mailbox, Organization, Switch

TENANT = "11111111-2222-3333-4444-555555555555"
END = datetime(2027, 1, 31, tzinfo=UTC)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(open_store(f"file://{tmp_path}", {}), TENANT)


def change(name: str, before: Switch, after: Switch = Switch.ON) -> Change:
    return Change(Mailbox(name, f"{name}@contoso.example", name, before), after)


def test_values_before_are_kept_for_other_runs_to_read(record: Record, tmp_path: Path) -> None:
    run = record.begin([change("anna", Switch.INHERITS), change("ben", Switch.OFF)], END)
    noted = Record(open_store(f"file://{tmp_path}", {}), TENANT.upper()).tops()
    assert {name: (one.before, one.after, one.until, one.run) for name, one in noted.items()} == {
        "anna": (Switch.INHERITS, Switch.ON, END, run),
        "ben": (Switch.OFF, Switch.ON, END, run),
    }


def test_a_killed_run_is_continued_under_its_name_and_keeps_the_values_before(record: Record) -> None:
    killed = record.begin([change("anna", Switch.INHERITS), change("ben", Switch.OFF)], None)
    continued = record.begin([change("ben", Switch.OFF)], None)  # anna was set before the kill, ben was not
    assert continued == killed
    record.finish(continued, [])
    assert {name: (one.before, one.run) for name, one in record.tops().items()} == {
        "anna": (Switch.INHERITS, killed),
        "ben": (Switch.OFF, killed),
    }
    assert record.begin([change("carl", Switch.OFF)], None) != killed


def test_a_killed_run_is_not_continued_by_one_of_another_kind(record: Record) -> None:
    killed = record.begin([change("anna", Switch.INHERITS)], None)
    assert record.begin([change("ben", Switch.ON, Switch.OFF)], None) != killed


def test_what_exchange_refused_was_not_changed(record: Record) -> None:
    run = record.begin([change("anna", Switch.INHERITS), change("room", Switch.INHERITS)], None)
    record.finish(run, ["room"])
    assert list(record.tops()) == ["anna"]


def test_changes_come_off_in_order(record: Record) -> None:
    record.finish(record.begin([change("anna", Switch.INHERITS)], None), [])
    record.finish(record.begin([change("anna", Switch.ON, Switch.OFF)], None), [])
    assert record.tops()["anna"].before is Switch.ON
    record.take_off(["anna"])
    assert record.tops()["anna"].before is Switch.INHERITS
    record.take_off(["anna"])
    record.take_off(["anna"])
    assert record.tops() == {}


def test_a_change_that_never_took_effect_has_no_second_entry(record: Record) -> None:
    for _ in range(3):
        record.finish(record.begin([change("anna", Switch.INHERITS)], None), [])
    record.take_off(["anna"])
    assert record.tops() == {}


def test_an_exceptions_end_is_moved_and_taken_away(record: Record) -> None:
    record.finish(record.begin([change("anna", Switch.INHERITS)], END), [])
    later = END.replace(month=2, day=28)
    assert [noted.until for noted in record.move_ends(["anna", "nobody"], Switch.ON, later)] == [later]
    assert record.move_ends(["anna"], Switch.ON, later) == []
    assert record.move_ends(["anna"], Switch.OFF, None) == []
    assert [noted.until for noted in record.move_ends(["anna"], Switch.ON, None)] == [None]
    assert record.move_ends(["anna"], Switch.ON, END) == []  # what has no end is no exception


def test_the_organizations_values_before_are_kept(record: Record) -> None:
    on, off = Organization(smtp_auth=True, legacy_tls=True), Organization(smtp_auth=False, legacy_tls=False)
    record.begin_organization(on, off, new_run())
    record.begin_organization(on, off, new_run())  # the first was killed before it was made
    noted = record.last_organization()
    assert noted is not None
    assert (noted.before, noted.after) == (on, off)
    record.take_off_organization()
    assert record.last_organization() is None


def test_runs_are_in_the_order_of_their_names() -> None:
    earlier = new_run(datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    assert earlier < new_run(datetime(2027, 1, 1, tzinfo=UTC))


def test_two_writers_lose_nothing(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Record(open_store(f"file://{tmp_path}", {}), TENANT)
    write, raced = Directory.write, []

    def interrupted(self: Directory, *arguments: object, **named: object) -> str:
        if not raced:
            raced.append(True)
            other.begin([change("ben", Switch.OFF)], None)
        return write(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Directory, "write", interrupted)
    record.begin([change("anna", Switch.INHERITS)], None)
    assert set(record.tops()) == {"anna", "ben"}


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        ({"format": 2}, InvalidInput),
        ({"format": 1}, StateUnavailable),
        ({"format": 1, "mailboxes": {"a": [{"address": "a"}]}, "organization": []}, StateUnavailable),
        ({"format": 1, "mailboxes": {"a": "x"}, "organization": []}, StateUnavailable),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    record: Record, tmp_path: Path, document: dict[str, object], refusal: type[Exception]
) -> None:
    open_store(f"file://{tmp_path}", {}).write(f"smtp-auth/{TENANT}", document, expected=None)
    with pytest.raises(refusal, match="smtp-auth"):
        record.tops()
