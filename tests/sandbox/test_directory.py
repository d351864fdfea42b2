"""The store keeps tenants apart, forgets nothing it should keep, and hides what has not been replicated yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.sandbox.directory import Clock, Directory, public

T = "7c23c221-e123-41c0-8001-9abbff8ff5d4"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    store = Directory(tmp_path / "tenants.sqlite")
    store.add_tenant(T, "contoso.onmicrosoft.com", {"domains": ["contoso.example"]})
    yield store
    store.close()


@pytest.mark.parametrize("name", [T, T.upper(), "contoso.onmicrosoft.com", "Contoso.Example"])
def test_a_tenant_is_found_by_its_id_and_by_every_verified_domain(directory: Directory, name: str) -> None:
    found = directory.tenant(name)
    assert found is not None
    assert found["id"] == T


def test_an_unknown_name_is_no_tenant(directory: Directory) -> None:
    assert directory.tenant("fabrikam.example") is None


def test_tenants_outlive_the_process(directory: Directory) -> None:
    directory.insert(T, "user", {"id": "u", "userPrincipalName": "ada@contoso.example"})
    again = Directory(directory.path)
    assert [user["id"] for user in again.find(T, "user", userPrincipalName="ADA@contoso.example")] == ["u"]
    again.close()


def test_one_tenant_never_sees_anothers_objects(directory: Directory) -> None:
    directory.add_tenant("other", "fabrikam.onmicrosoft.com", {})
    directory.insert("other", "application", {"id": "a", "appId": "x"})
    assert directory.get(T, "application", "a") is None
    assert directory.all(T, "application") == []
    directory.remove_tenant("other")
    assert directory.all("other", "application") == []


def test_a_new_object_is_hidden_until_it_is_replicated(directory: Directory) -> None:
    directory.replication_delay = 3600.0
    directory.insert(T, "application", {"id": "a", "appId": "x"})
    assert directory.get(T, "application", "a") is None
    assert directory.find(T, "application", appId="x") == []
    assert directory.get(T, "application", "a", fresh=True) is not None
    directory.replication_delay = 0.0
    assert directory.get(T, "application", "a") is not None


def test_a_failed_transaction_leaves_nothing(directory: Directory) -> None:
    def fail() -> None:
        with directory.transaction():
            directory.insert(T, "user", {"id": "u"})
            with directory.transaction():
                directory.insert(T, "user", {"id": "v"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert directory.all(T, "user") == []


def test_deleted_items_can_be_restored_or_purged(directory: Directory) -> None:
    directory.insert(T, "application", {"id": "a", "appId": "x"})
    assert directory.soft_delete(T, "application", "a")
    assert directory.get(T, "application", "a") is None
    assert directory.get(T, "application", "a", deleted=True) is not None
    assert directory.restore(T, "application", "a")
    assert directory.find(T, "application", appId="x")
    assert directory.remove(T, "application", "a")
    assert not directory.restore(T, "application", "a")


def test_a_changed_key_is_found_by_its_new_value_only(directory: Directory) -> None:
    directory.insert(T, "application", {"id": "a", "displayName": "old"})
    directory.replace(T, "application", {"id": "a", "displayName": "new"})
    assert directory.find(T, "application", displayName="old") == []
    assert directory.find(T, "application", displayName="new")


def test_looking_up_what_is_not_indexed_is_loud(directory: Directory) -> None:
    with pytest.raises(KeyError, match="add it to KEYS"):
        directory.find(T, "application", notes="x")


def test_private_names_never_leave_at_any_depth() -> None:
    document = {"id": "a", "_owners": ["x"], "passwordCredentials": [{"keyId": "k", "_hash": "h"}]}
    assert public(document) == {"id": "a", "passwordCredentials": [{"keyId": "k"}]}


def test_a_skewed_clock_is_off_by_its_skew() -> None:
    assert Clock(600).now() - Clock().now() == pytest.approx(600, abs=5)


def test_changes_are_counted_in_their_order_and_outlive_the_process(directory: Directory) -> None:
    directory.insert(T, "application", {"id": "a", "displayName": "A", "_secret": 1})
    directory.insert(T, "application", {"id": "b"})
    directory.insert(T, "user", {"id": "u"})
    since = directory.last_change()
    directory.replace(T, "application", {"id": "a", "displayName": "B", "_secret": 2})
    assert directory.soft_delete(T, "application", "b")
    assert not directory.soft_delete(T, "application", "nobody")
    again = Directory(directory.path)
    assert [(c.id, c.came_or_went, c.properties) for c in again.changes(T, "application", since)] == [
        ("a", False, {"displayName"}),
        ("b", True, set()),
    ]
    assert [c.id for c in again.changes(T, "application", 0)] == ["a", "b"]
    assert again.changes(T, "application", again.last_change()) == []
    again.close()


def test_a_file_from_before_changes_were_counted_is_counted_when_opened(directory: Directory) -> None:
    directory.insert(T, "application", {"id": "a"})
    connection = sqlite3.connect(directory.path)
    connection.execute("DROP TABLE change")
    connection.execute("PRAGMA user_version = 0")
    connection.commit()
    connection.close()
    again = Directory(directory.path)
    assert [c.id for c in again.changes(T, "application", 0)] == ["a"]
    again.close()


def test_looking_one_object_up_does_not_read_its_whole_kind(directory: Directory) -> None:
    """With 10,000 users a look-up that reads all of them makes a page of a thousand rows take a quarter of a minute."""
    asked: list[str] = []
    directory._db.set_trace_callback(asked.append)
    directory.find(T, "user", mail="ada@contoso.example")
    directory._db.set_trace_callback(None)
    (statement,) = asked
    plan = " ".join(row[3] for row in directory._db.execute(f"EXPLAIN QUERY PLAN {statement}"))
    assert "SEARCH o USING INDEX sqlite_autoindex_object_1 (tenant=? AND kind=? AND id=?)" in plan
    assert "SCAN" not in plan


def test_a_file_from_before_there_were_thousands_still_finds_its_tenants(directory: Directory) -> None:
    """Domains stood in the tenant's document, the admin's credentials in one setting, and ids were no keys."""
    directory.insert(T, "domain", {"id": "contoso.example"})
    directory.set_setting("seeded", {T: {"tenant_id": T}})
    connection = sqlite3.connect(directory.path)
    connection.execute("DELETE FROM tenant_domain")
    connection.execute("DELETE FROM object_key WHERE kind = 'domain'")
    connection.execute("PRAGMA user_version = 0")
    connection.commit()
    connection.close()
    again = Directory(directory.path)
    assert (again.tenant("contoso.example") or {})["id"] == T
    assert [tenant for tenant, _ in again.find_everywhere("domain", id="CONTOSO.example")] == [T]
    assert again.of_tenant(T, "seeded") == {"tenant_id": T}
    assert again.setting("seeded") is None
    again.close()


PART = {"appRoles": [{"value": "Mail.Send", "allowedMemberTypes": ["Application"]}], "oauth2PermissionScopes": []}


def test_a_part_that_tenants_have_in_common_reads_as_their_own(directory: Directory) -> None:
    name = directory.share(PART)
    assert directory.share(dict(PART)) == name
    directory.insert(T, "servicePrincipal", {"id": "s", "appId": "a", "_shared": name})
    found = directory.get(T, "servicePrincipal", "s") or {}
    assert public(found) == {"id": "s", "appId": "a", **PART}
    stored = directory._db.execute("SELECT doc FROM object WHERE id = 's'").fetchone()[0]
    assert "Mail.Send" not in stored
    again = Directory(directory.path)
    assert again.all(T, "servicePrincipal") == directory.all(T, "servicePrincipal")
    again.close()


def test_a_part_that_one_tenant_changes_is_its_own_from_then_on(directory: Directory) -> None:
    name = directory.share(PART)
    for identity in ("s", "t"):
        directory.insert(T, "servicePrincipal", {"id": identity, "_shared": name})
    mine = directory.get(T, "servicePrincipal", "s") or {}
    directory.replace(T, "servicePrincipal", {**mine, "appRoles": []})
    assert (directory.get(T, "servicePrincipal", "s") or {})["appRoles"] == []
    assert (directory.get(T, "servicePrincipal", "t") or {})["appRoles"] == PART["appRoles"]
    changed = directory.changes(T, "servicePrincipal", 0)
    assert [change.properties for change in changed if change.id == "s"] == [{"appRoles"}]


def test_a_shared_part_cannot_be_changed_by_whoever_reads_it(directory: Directory) -> None:
    directory.insert(T, "servicePrincipal", {"id": "s", "_shared": directory.share(PART)})
    found = directory.get(T, "servicePrincipal", "s") or {}
    with pytest.raises(TypeError, match="shared by all tenants"):
        found["appRoles"].append({})
    with pytest.raises(TypeError, match="shared by all tenants"):
        found["appRoles"][0]["value"] = "x"


def test_what_is_kept_beside_a_tenant_goes_with_it(directory: Directory) -> None:
    directory.keep_of_tenant(T, "weather", {"rules": []})
    assert directory.of_tenants("weather") == {T: {"rules": []}}
    directory.remove_tenant(T)
    assert directory.of_tenants("weather") == {}
    assert directory.tenant("contoso.example") is None
