"""SMTP AUTH switched against the local tenant: who can have it, what is changed, what comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provision.errors import InvalidInput, NotPermitted, Unreachable
from provision.mailbox.applying import Selection, Switching
from provision.mailbox.planning import Plan, Wish
from provision.mailbox.reading import ONE_BY_ONE, Reader
from provision.mailbox.values import Organization, Switch
from provision.microsoft.exchange import Exchange
from provision.sandbox import Sandbox, Tenant

ON, OFF, INHERITS = Wish(Switch.ON), Wish(Switch.OFF), Wish(Switch.INHERITS)


def value(reader: Reader, address: str) -> str:
    found, missing = reader.named([address])
    assert not missing
    return found[0].switch.value


def enable(switching: Switching, *addresses: str, wish: Wish = ON) -> Plan:
    plan = switching.plan(Selection(addresses), wish)
    switching.carry_out(plan)
    return plan


def test_the_seeds_reasons(switching: Switching, people: dict[str, str], tenant: Tenant) -> None:
    nobody = f"nobody@{tenant.domain}"
    plan = switching.plan(Selection((*people.values(), nobody)), ON)
    assert {change.mailbox.address: change.mailbox.switch for change in plan.changes} == {
        people["inherits"]: Switch.INHERITS,
        people["off"]: Switch.OFF,
        people["shared"]: Switch.INHERITS,
    }
    assert plan.as_wanted == 1
    assert {refused.name: refused.obstacle for refused in plan.refused} == {
        people["room"]: "room",
        people["equipment"]: "equipment",
        people["unlicensed"]: "unlicensed",
        people["never"]: "unlicensed",
        people["group"]: "group",
        people["deleted"]: "soft-deleted",
        nobody: "no-mailbox",
    }


def test_one_by_one_and_from_the_list_say_the_same(
    switching: Switching, people: dict[str, str], tenant: Tenant
) -> None:
    few = list(people.values())[:ONE_BY_ONE]
    many = [*few, *(f"nobody{number}@{tenant.domain}" for number in range(ONE_BY_ONE))]

    def told(names: list[str]) -> dict[str, str]:
        plan = switching.plan(Selection(tuple(names)), ON)
        refused = {one.name: one.obstacle for one in plan.refused}
        return refused | {change.mailbox.address: "change" for change in plan.changes}

    alone = {name: what for name, what in told(few).items() if name != people["never"]}
    listed = told(many)
    assert {name: listed[name] for name in alone} == alone
    assert listed[people["never"]] == "no-mailbox"  # whether many of them are users is not looked up


def test_only_what_differs_is_set_and_set_as_exchange_has_it(
    switching: Switching, reader: Reader, exchange: Exchange, people: dict[str, str]
) -> None:
    enable(switching, people["inherits"], people["on"])
    row = exchange.first("Get-CASMailbox", {"Identity": people["inherits"]}, doing="look")
    assert row is not None
    assert row["SmtpClientAuthenticationDisabled"] is False
    assert next(iter(switching.record.tops().values())).before is Switch.INHERITS
    assert len(switching.record.tops()) == 1
    assert enable(switching, people["inherits"], people["on"]).changes == []


@pytest.mark.parametrize(("wish", "switch"), [(OFF, "off"), (INHERITS, "inherits"), (ON, "on")])
def test_all_three_values_can_be_set(
    switching: Switching, reader: Reader, people: dict[str, str], wish: Wish, switch: str
) -> None:
    names = (people["inherits"], people["off"], people["on"])
    enable(switching, *names, wish=wish)
    assert [value(reader, name) for name in names] == [switch] * 3


def test_a_room_may_well_have_it_off(switching: Switching, reader: Reader, people: dict[str, str]) -> None:
    plan = enable(switching, people["room"], wish=OFF)
    assert plan.refused == []
    assert value(reader, people["room"]) == "off"


def test_all_mailboxes(switching: Switching, people: dict[str, str]) -> None:
    plan = switching.plan(Selection(everyone=True), ON)
    changing = {change.mailbox.address for change in plan.changes}
    assert {people["inherits"], people["off"], people["shared"]} <= changing
    assert {people["room"], people["equipment"], people["unlicensed"]} <= {one.name for one in plan.refused}
    assert people["on"] not in changing


def test_undo_puts_each_value_before_back(switching: Switching, reader: Reader, people: dict[str, str]) -> None:
    enable(switching, people["inherits"], people["off"])
    switching.put_back(switching.undoing())
    assert (value(reader, people["inherits"]), value(reader, people["off"])) == ("inherits", "off")
    assert switching.record.tops() == {}
    assert switching.undoing().changes == ()


def test_undo_of_one_mailbox_leaves_the_others(switching: Switching, reader: Reader, people: dict[str, str]) -> None:
    enable(switching, people["inherits"], people["off"])
    switching.put_back(switching.undoing([people["off"].upper()]))
    assert (value(reader, people["inherits"]), value(reader, people["off"])) == ("on", "off")
    with pytest.raises(InvalidInput, match="on record"):
        switching.undoing([people["off"]])


def test_undo_does_not_touch_what_somebody_else_has_changed(
    switching: Switching, reader: Reader, exchange: Exchange, people: dict[str, str]
) -> None:
    enable(switching, people["inherits"])
    parameters = {"Identity": people["inherits"], "SmtpClientAuthenticationDisabled": True}
    exchange.run("Set-CASMailbox", parameters, doing="switch")
    undoing = switching.undoing()
    assert undoing.changes == ()
    assert [one.obstacle for one in undoing.left] == ["changed-since"]
    assert value(reader, people["inherits"]) == "off"


def test_an_exception_ends_by_a_sweep(switching: Switching, reader: Reader, people: dict[str, str]) -> None:
    end = datetime.now(UTC) + timedelta(days=3)
    enable(switching, people["inherits"], wish=Wish(Switch.ON, end))
    enable(switching, people["off"])
    assert switching.overdue(end - timedelta(seconds=1)).changes == ()
    due = switching.overdue(end)
    assert [(change.mailbox.address, change.switch) for change in due.changes] == [
        (people["inherits"], Switch.INHERITS)
    ]
    switching.put_back(due)
    assert (value(reader, people["inherits"]), value(reader, people["off"])) == ("inherits", "on")
    assert switching.overdue(end + timedelta(days=1)).changes == ()


def test_an_exception_that_is_wanted_for_good_does_not_end(
    switching: Switching, reader: Reader, people: dict[str, str]
) -> None:
    end = datetime.now(UTC) + timedelta(days=3)
    enable(switching, people["inherits"], wish=Wish(Switch.ON, end))
    plan = switching.plan(Selection((people["inherits"],)), ON)
    assert [noted.until for noted in switching.carry_out(plan).moved] == [None]
    assert switching.overdue(end).changes == ()


def test_what_was_on_for_good_does_not_become_an_exception(switching: Switching, people: dict[str, str]) -> None:
    enable(switching, people["on"], wish=Wish(Switch.ON, datetime.now(UTC) + timedelta(days=1)))
    assert switching.record.tops() == {}


def test_a_run_that_is_cut_is_continued_and_undone_as_one(
    switching: Switching, reader: Reader, sandbox: Sandbox, people: dict[str, str]
) -> None:
    names = (people["inherits"], people["off"], people["shared"])
    plan = switching.plan(Selection(names), ON)

    class Killed(BaseException):
        pass

    def kill(done: int) -> None:
        if done == 1:
            raise Killed

    with pytest.raises(Killed):
        switching.carry_out(plan, kill)
    again = switching.plan(Selection(names), ON)
    assert (len(again.changes), again.as_wanted) == (2, 1)
    switching.carry_out(again)
    switching.put_back(switching.undoing())
    assert [value(reader, name) for name in names] == ["inherits", "off", "inherits"]


def test_one_that_exchange_refuses_does_not_stop_the_others(
    switching: Switching, reader: Reader, exchange: Exchange, people: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = switching.plan(Selection((people["inherits"], people["off"])), ON)
    run = exchange.run

    def gone(cmdlet: str, parameters: dict[str, Any], **named: Any) -> Any:
        if named.get("mailbox") == people["inherits"]:
            parameters = {**parameters, "Identity": "00000000-1111-2222-3333-444444444444"}  # removed meanwhile
        return run(cmdlet, parameters, **named)

    monkeypatch.setattr(exchange, "run", gone)
    outcome = switching.carry_out(plan)
    assert [change.mailbox.address for change in outcome.changed] == [people["off"]]
    assert [(one.name, one.obstacle) for one in outcome.refused] == [(people["inherits"], "refused")]
    assert [noted.address for noted in switching.record.tops().values()] == [people["off"]]


def test_without_the_role_nothing_is_read(
    switching: Switching, people: dict[str, str], tenant: Tenant, graph: Any, api: Any
) -> None:
    principal = api.get(f"/v1.0/servicePrincipals(appId='{tenant.admin_client_id}')").json()["id"]
    roles = api.get("/v1.0/directoryRoles").json()["value"]
    for role in roles:
        if role["displayName"] in (
            "Exchange Administrator",
            "Global Administrator",
            "Exchange Recipient Administrator",
        ):
            api.delete(f"/v1.0/directoryRoles/{role['id']}/members/{principal}/$ref")
    with pytest.raises(NotPermitted) as refused:
        switching.plan(Selection((people["inherits"],)), ON)
    assert "Exchange.ManageAsApp" in refused.value.remedy


def test_the_organization_is_set_and_put_back(switching: Switching, reader: Reader) -> None:
    before = reader.organization()
    assert before == Organization(smtp_auth=False, legacy_tls=False)
    after = Organization(smtp_auth=True, legacy_tls=True)
    switching.set_organization(before, after)
    assert reader.organization() == after
    noted = switching.organization_undoing()
    assert noted is not None
    assert noted.run == switching.last_run()
    assert switching.put_back_organization(noted, reader.organization())
    assert reader.organization() == before
    assert switching.organization_undoing() is None


def test_the_organization_that_somebody_else_has_set_stays(switching: Switching, reader: Reader) -> None:
    off, on = Organization(smtp_auth=False, legacy_tls=False), Organization(smtp_auth=True, legacy_tls=False)
    switching.set_organization(off, on)
    noted = switching.organization_undoing()
    assert noted is not None
    assert not switching.put_back_organization(noted, Organization(smtp_auth=True, legacy_tls=True))


def test_bad_weather_is_waited_out(
    switching: Switching, reader: Reader, sandbox: Sandbox, people: dict[str, str]
) -> None:
    plan = switching.plan(Selection((people["inherits"], people["off"])), ON)
    sandbox.set_faults(
        [{"match": {"path": "/adminapi/"}, "action": "status", "status": 429, "retry_after": 0, "count": 2}]
    )
    assert len(switching.carry_out(plan).changed) == 2
    sandbox.set_faults([{"match": {"path": "/adminapi/"}, "action": "drop_after", "count": 1}])
    switching.put_back(switching.undoing())
    assert value(reader, people["off"]) == "off"


def test_a_dead_line_ends_the_run_and_loses_nothing(
    switching: Switching, reader: Reader, sandbox: Sandbox, people: dict[str, str]
) -> None:
    names = (people["inherits"], people["off"])
    plan = switching.plan(Selection(names), ON)
    sandbox.set_faults([{"match": {"path": "/adminapi/"}, "action": "drop_before"}])
    with pytest.raises(Unreachable):
        switching.carry_out(plan)
    sandbox.clear_faults()
    assert {noted.before for noted in switching.record.tops().values()} == {Switch.INHERITS, Switch.OFF}
    enable(switching, *names)
    switching.put_back(switching.undoing())
    assert [value(reader, name) for name in names] == ["inherits", "off"]
