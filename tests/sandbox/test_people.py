"""People made to measure: every state that mail needs, quickly, and nothing half made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.sandbox import hashing, people, seed
from provision.sandbox.directory import Directory, Document
from provision.sandbox.exchange import mailboxes


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    made = Directory(tmp_path / "tenant.sqlite")
    seed.create_tenant(made, tenant_id=T, base_url="https://localhost:8443")
    yield made
    made.close()


T = "7c23c221-e123-41c0-8001-9abbff8ff5d4"


def make(directory: Directory, *rows: Document) -> list[Document]:
    return people.make(directory, T, [people.Wanted.parse(row, alias="somebody") for row in rows])


@pytest.mark.parametrize(
    ("mailbox", "kind", "licensed"),
    [
        ("user", "UserMailbox", True),
        ("restored", "UserMailbox", True),
        ("shared", "SharedMailbox", False),
        ("room", "RoomMailbox", False),
        ("equipment", "EquipmentMailbox", False),
        ("none", None, False),
    ],
)
def test_each_type_of_mailbox_and_its_usual_licence(directory, mailbox, kind, licensed):
    (carl,) = make(directory, {"alias": "carl", "mailbox": mailbox})
    user = directory.get(T, "user", carl["id"])
    found = mailboxes.by_address(directory, T, "CARL@contoso.onmicrosoft.com")
    assert (found and found["RecipientTypeDetails"]) == kind
    assert mailboxes.licensed(user) is licensed
    assert (found and found["id"]) == carl["mailboxId"]
    assert bool(found and found["_restoredAt"]) is (mailbox == "restored")
    assert hashing.matches(carl["password"], user["_passwordHash"])


def test_a_soft_deleted_mailbox_is_gone_until_it_is_asked_for(directory):
    (carl,) = make(directory, {"alias": "carl", "mailbox": "softdeleted"})
    assert mailboxes.of_user(directory, T, carl["id"]) is None
    (gone,) = directory.all(T, "mailbox", deleted=True)
    assert gone["id"] == carl["mailboxId"]
    assert gone["_softDeleted"]
    back = mailboxes.restore(directory, T, carl["id"])
    assert back is not None
    assert back["_restoredAt"]
    assert mailboxes.of_user(directory, T, carl["id"]) == back


def test_the_switch_of_a_mailbox_has_three_states(directory):
    made = make(directory, *({"alias": value, "smtpAuth": value} for value in ("on", "off", "inherit")))
    stored = [directory.get(T, "mailbox", row["mailboxId"]) for row in made]
    assert [row["SmtpClientAuthenticationDisabled"] for row in stored] == [False, True, None]


def test_an_app_password_is_given_once_and_only_its_hash_is_kept(directory):
    (carl,) = make(directory, {"alias": "carl", "mfa": "registered", "appPassword": True, "password": "Given-1234"})
    user = directory.get(T, "user", carl["id"])
    (stored,) = user["_appPasswords"]
    assert hashing.matches(carl["appPassword"], stored["hash"])
    assert carl["appPassword"] not in str(user)
    assert carl["password"] == "Given-1234"


def test_a_group_has_members_and_an_address_but_no_mailbox_of_a_user(directory):
    rows = make(directory, {"alias": "carl"}, {"alias": "sales", "mailbox": "group", "members": [f"carl@{DOMAIN}"]})
    group = directory.get(T, "group", rows[1]["id"])
    assert group["_members"] == [rows[0]["id"]]
    assert group["groupTypes"] == ["Unified"]
    assert mailboxes.by_address(directory, T, f"sales@{DOMAIN}") is None


DOMAIN = "contoso.onmicrosoft.com"


def test_licences_of_the_made_are_counted(directory):
    before = {row["skuId"]: row["consumedUnits"] for row in directory.all(T, "subscribedSku")}
    make(directory, {"alias": "m", "count": 40}, {"alias": "s", "count": 3, "mailbox": "shared"})
    after = {row["skuId"]: row for row in directory.all(T, "subscribedSku")}
    grown = {sku: row["consumedUnits"] - before[sku] for sku, row in after.items()}
    assert sorted(grown.values()) == [0, 0, 40]
    assert all(row["consumedUnits"] <= row["prepaidUnits"]["enabled"] for row in after.values())


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"mailbx": "user"}, "people have no 'mailbx'"),
        ({"mailbox": "legacy"}, "mailbox is one of user, shared"),
        ({"smtpAuth": "yes"}, "smtpAuth is one of on, off, inherit"),
        ({"mfa": "maybe"}, "mfa is one of off, required"),
        ({"count": 0}, "count is a number from 1"),
        ({"count": True}, "count is a number from 1"),
        ({"authenticationPolicy": "Block"}, "there is no authentication policy 'Block'"),
        ({"sendAs": ["nobody@contoso.onmicrosoft.com"]}, "there is no user 'nobody@contoso.onmicrosoft.com'"),
        ({"alias": "ada"}, "ada@contoso.onmicrosoft.com is there already"),
        ("carl", "each of 'people' is an object"),
    ],
)
def test_a_wrong_request_makes_nobody(directory, row, sentence):
    before = directory.count(T, "user")
    with pytest.raises(people.BadPeople, match=sentence):
        make(directory, {"alias": "first"}, row)
    assert directory.count(T, "user") == before


def test_a_name_given_twice_in_one_request_is_refused(directory):
    with pytest.raises(people.BadPeople, match=r"carl@contoso\.onmicrosoft\.com is there already"):
        make(directory, {"alias": "carl"}, {"alias": "Carl"})


def test_pages_of_many_hold_each_mailbox_once(directory):
    make(directory, {"alias": "m", "count": 250})
    seen: list[str] = []
    after = 0
    while rows := directory.page(T, "mailbox", after=after, limit=100):
        assert len(rows) <= 100
        seen += [row["id"] for _, row in rows]
        after = rows[-1][0]
    assert sorted(seen) == sorted(row["id"] for row in directory.all(T, "mailbox"))
    assert len(seen) == len(set(seen)) > 250
