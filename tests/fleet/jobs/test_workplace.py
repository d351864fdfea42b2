"""The folder of one tenant: what lies in it, and what of it outlives the folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from provision.app.adopt import APPLICATION
from provision.app.ownership import tags
from provision.errors import InvalidInput
from provision.fleet.jobs.workplace import with_instance, workplace
from provision.fleet.kept import Kept
from provision.fleet.profiles import own_profiles
from provision.fleet.tenant import Tenant

PROJECT = Path(__file__).parents[3]
ROW = Tenant("acme", "acme.onmicrosoft.com", company_code="ACME")
INSTANCE = "4c9b3c52-3a0c-4a35-9b0e-0c5f3f9a8f10"


def deployment(*resources: dict[str, object]) -> dict[str, object]:
    return {"resources": list(resources)}


def registration(*given: str) -> dict[str, object]:
    return {"type": APPLICATION, "id": "/applications/1", "inputs": {"tags": list(given)}}


def test_it_is_private_has_the_program_and_is_gone_afterwards() -> None:
    with workplace(ROW, Kept(), project=PROJECT) as place:
        assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
        described = yaml.safe_load((place.folder / "Pulumi.yaml").read_text())
        assert (place.folder / described["main"] / "__main__.py").is_file()
        assert described["name"] == "office365-mail"
    assert not place.folder.exists()


def test_what_a_run_writes_is_kept_and_comes_back_but_the_row_wins() -> None:
    before = Kept(instance_id=INSTANCE, encryption_salt="v1:salt", settings={"office365-mail:companyCode": "OLD"})
    with workplace(ROW, before, project=PROJECT) as place:
        document = yaml.safe_load(place.settings_file.read_text())
        assert document["encryptionsalt"] == "v1:salt"
        assert document["config"]["office365-mail:companyCode"] == "ACME"
        assert document["config"]["office365-mail:instanceId"] == INSTANCE
        document["config"]["office365-mail:adoptedClientId"] = INSTANCE
        place.settings_file.write_text(yaml.safe_dump(document))
        after = place.kept(before)
    assert after.settings == {"office365-mail:adoptedClientId": INSTANCE}
    assert Kept.of_document(after.document()) == after


def test_a_new_stack_gets_an_id_and_one_that_runs_already_gets_none() -> None:
    """An id that its registration's tag does not carry would make a second registration."""
    assert with_instance(Kept(), ROW, {}).instance_id
    assert with_instance(Kept(), ROW, deployment(registration(*tags("p", "acme")))).instance_id is None
    assert with_instance(Kept(instance_id=INSTANCE), ROW, {}).instance_id == INSTANCE


def test_what_the_store_has_lost_is_read_from_the_state() -> None:
    there = deployment(registration(*tags("p", "acme", INSTANCE)))
    there["secrets_providers"] = {"type": "passphrase", "state": {"salt": "v1:salt"}}
    assert with_instance(Kept(), ROW, there) == Kept(instance_id=INSTANCE, encryption_salt="v1:salt")


def test_profiles_of_ones_own_go_with_the_job(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "ours.toml").write_text('id = "ours"\n')
    profiles = own_profiles(tmp_path)
    with workplace(ROW, Kept(), project=PROJECT, profiles=profiles) as place:
        assert (place.folder / "profiles" / "ours.toml").read_text() == 'id = "ours"\n'


def test_a_profiles_name_leads_to_no_other_folder() -> None:
    with workplace(ROW, Kept(), project=PROJECT, profiles={"../../evil": "x"}) as place:
        assert [file.name for file in (place.folder / "profiles").iterdir()] == ["evil.toml"]


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not this toolkit's project"), workplace(ROW, Kept(), project=tmp_path):
        pass
