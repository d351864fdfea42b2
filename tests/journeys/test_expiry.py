"""When secrets end, on the command line: a stack's, several stacks', a hand-made registration's."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import icalendar
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client.parser import text_string_to_metric_families
from trial import NAME, PROVISION, Trial

from provision import errors
from provision.sandbox import Sandbox

EXPIRING = errors.Expiring.exit_code


def status(trial: Trial, *words: str) -> CompletedProcess[str]:
    done = trial.run([str(PROVISION), "secrets", "status", *words])
    assert "Traceback" not in done.stderr
    return done


def told(trial: Trial, *words: str, code: int = 0) -> dict[str, Any]:
    """What the command tells programs."""
    done = status(trial, *words, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def application(trial: Trial, client_id: str) -> dict[str, Any]:
    return trial.get(f"/applications?$filter=appId eq '{client_id}'")[0]


def add_secret(trial: Trial, client_id: str, name: str, **ends: float) -> str:
    """A client secret that ends after some time, made as a person makes one; its key id."""
    end = datetime.now(UTC) + timedelta(**ends)
    body = {"displayName": name, "endDateTime": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
    path = f"/applications/{application(trial, client_id)['id']}/addPassword"
    return str(trial.request("POST", path, {"passwordCredential": body}).raise_for_status().json()["keyId"])


def remove_secret(trial: Trial, client_id: str, key_id: str) -> None:
    path = f"/applications/{application(trial, client_id)['id']}/removePassword"
    trial.request("POST", path, {"keyId": key_id}).raise_for_status()


def hand_made(trial: Trial, **ends: float) -> tuple[str, str]:
    """A registration without a stack and its only secret: client id and key id."""
    client_id = trial.click()
    (first,) = application(trial, client_id)["passwordCredentials"]
    key_id = add_secret(trial, client_id, "by hand", **ends)
    remove_secret(trial, client_id, first["keyId"])
    return client_id, key_id


def test_a_stack_is_told_and_its_own_secret_decides(trial: Trial) -> None:
    assert trial.up().returncode == 0
    outputs = trial.outputs()
    foreign = add_secret(trial, outputs["clientId"], "CLOUDEX Secret", days=20)
    found = told(trial, "--stack", "sweep")
    ours = {
        "stack": "sweep",
        "registration": NAME,
        "clientId": outputs["clientId"],
        "tenantId": trial.tenant.tenant_id,
        "kind": "secret",
        "name": "CLOUDEX Secret A",
        "keyId": outputs["secretKeyId"],
        "slot": "a",
        "inUse": True,
        "deciding": True,
        "state": "live",
    }
    first, second = found["secrets"]
    assert second.items() >= ours.items()
    assert datetime.fromisoformat(second["ends"]) == datetime.fromisoformat(outputs["secretExpires"])
    assert first.items() >= {"keyId": foreign, "slot": None, "inUse": False, "deciding": False}.items()
    assert (first["state"], first["daysLeft"]) == ("expiring", 19)
    (note,) = found["notes"]
    assert "CLOUDEX Secret (" in note
    assert "in 19 days" in note
    shown = status(trial, "--stack", "sweep")
    assert (shown.returncode, f"note: {note}" in shown.stderr) == (0, True)
    (row,) = [line for line in shown.stdout.splitlines() if outputs["secretKeyId"] in line]
    assert "slot A, in use" in row
    for text in (shown.stdout, shown.stderr, json.dumps(found)):
        assert outputs["clientSecret"] not in text


def test_a_stacks_secret_that_ends_soon_fails_a_pipeline_until_it_is_rotated(trial: Trial) -> None:
    """The state says which secret is in use, so a longer-lived one beside it does not quiet the alarm."""
    trial.set_password_policy(
        [{"restrictionType": "passwordLifetime", "maxLifetime": "P30D", "restrictForAppsCreatedAfterDateTime": None}]
    )
    assert trial.up().returncode == 0
    trial.set_password_policy([])
    client_id = trial.outputs()["clientId"]
    add_secret(trial, client_id, "by hand", days=700)
    done = status(trial, "--stack", "sweep")
    assert done.returncode == EXPIRING
    assert "CLOUDEX Secret A" in done.stderr
    assert "Renew it: provision rotate --stack sweep --now" in done.stderr
    assert "expiring" in done.stdout
    assert status(trial, "--stack", "sweep", "--within", "7d").returncode == 0
    rotated = trial.run([str(PROVISION), "rotate", "--stack", "sweep", "--now"])
    assert rotated.returncode == 0, rotated.stderr
    found = told(trial, "--stack", "sweep")
    deciding = {one["name"]: one["deciding"] for one in found["secrets"]}
    assert deciding == {"CLOUDEX Secret A": False, "by hand": False, "CLOUDEX Secret B": True}
    assert [one["slot"] for one in found["secrets"]] == ["a", None, "b"]


def test_a_secret_in_use_that_somebody_removed_fails_whatever_else_is_there(trial: Trial) -> None:
    assert trial.up().returncode == 0
    outputs = trial.outputs()
    add_secret(trial, outputs["clientId"], "by hand", days=700)
    remove_secret(trial, outputs["clientId"], outputs["secretKeyId"])
    done = status(trial, "--stack", "sweep")
    assert done.returncode == EXPIRING
    assert f"The client secret in use ({outputs['secretKeyId']}) of {NAME} is no longer there" in done.stderr


def test_without_its_state_a_stack_is_found_by_its_settings_alone(trial: Trial) -> None:
    """A pipeline that has only the repository: the tag finds the registration, and names tell whose a secret is."""
    assert trial.up().returncode == 0
    elsewhere = f"file://{trial.project}/elsewhere"
    (one,) = told(trial, "--stack", "sweep", "--backend", elsewhere)["secrets"]
    assert (one["slot"], one["inUse"], one["deciding"]) == ("a", False, True)


def test_a_hand_made_registration_needs_no_engine_no_state_and_no_stack(trial: Trial) -> None:
    client_id, key_id = hand_made(trial, days=10)
    trial.environment["PATH"] = ""
    done = status(trial, "--client-id", client_id.upper(), "--within", "2w")
    assert done.returncode == EXPIRING
    assert f"The client secret by hand ({key_id}) of cloudex mail ends " in done.stderr
    assert "in 9 days." in done.stderr
    assert not (trial.project / "data").exists()
    assert status(trial, "--client-id", client_id, "--within", "9d").returncode == 0


def test_what_rotation_remembers_decides_for_a_registration_without_a_stack(trial: Trial) -> None:
    client_id, by_hand = hand_made(trial, days=10)
    file = trial.project / "mail.env"
    rotated = trial.run([str(PROVISION), "rotate", "--client-id", client_id, "--sink", f"envfile:{file}"])
    assert rotated.returncode == 0, rotated.stderr
    found = told(trial, "--client-id", client_id)
    assert [(one["keyId"] == by_hand, one["slot"], one["inUse"]) for one in found["secrets"]] == [
        (True, None, False),
        (False, "a", True),
    ]
    assert len(found["notes"]) == 1
    nobody = told(trial, "--client-id", client_id, "--journal", f"file://{trial.project}/elsewhere")
    assert [one["deciding"] for one in nobody["secrets"]] == [False, True], "the name tells it is ours"


def test_an_ended_secret_fails_and_a_longer_lived_one_is_enough(trial: Trial) -> None:
    client_id, ended = hand_made(trial, days=2)
    trial.sandbox.set_faults(clock_skew=3 * 86400.0)
    found = told(trial, "--client-id", client_id, code=EXPIRING)
    (one,) = found["secrets"]
    assert (one["keyId"], one["state"], one["daysLeft"]) == (ended, "expired", -2)
    assert f"({ended}) of cloudex mail ended " in found["registrations"][0]["problem"]
    add_secret(trial, client_id, "another", days=400)
    assert status(trial, "--client-id", client_id).returncode == 0


@pytest.mark.parametrize("hours", [-36, 36])
def test_days_are_counted_by_microsofts_clock(sandbox: Sandbox, tmp_path: Path, hours: int) -> None:
    sandbox.set_faults(clock_skew=3600.0 * hours)
    trial = Trial(sandbox, tmp_path / "project")  # a tenant that was made by the same clock
    try:
        client_id, _ = hand_made(trial, hours=100)
        found = told(trial, "--client-id", client_id, "--within", "1d")
        assert found["secrets"][0]["daysLeft"] == (100 - hours) // 24
        assert abs(found["registrations"][0]["clockAheadSeconds"] - hours * 3600) <= 5
        which = "behind" if hours > 0 else "ahead of"
        assert (
            f"this machine's clock is 2160 minutes {which} Microsoft's"
            in status(trial, "--client-id", client_id).stderr
        )
    finally:
        sandbox.clear_faults()
        trial.close()


def certificate(days: int) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days, hours=1))
    der = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return {"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.b64encode(der).decode()}


def test_a_certificate_is_told_and_decides_only_where_there_is_no_secret(trial: Trial) -> None:
    client_id, key_id = hand_made(trial, days=400)
    body = {"keyCredentials": [certificate(10)]}
    trial.request("PATCH", f"/applications/{application(trial, client_id)['id']}", body).raise_for_status()
    found = told(trial, "--client-id", client_id)
    assert [(one["kind"], one["daysLeft"], one["slot"], one["deciding"]) for one in found["secrets"]] == [
        ("certificate", 10, None, False),
        ("secret", 399, None, True),
    ]
    assert "The certificate CN=mail (" in found["notes"][0]
    remove_secret(trial, client_id, key_id)
    done = status(trial, "--client-id", client_id)
    assert done.returncode == EXPIRING
    assert "new certificate" in done.stderr


def test_a_registration_without_any_secret_is_said_and_fails_nothing(trial: Trial) -> None:
    client_id, key_id = hand_made(trial, days=10)
    remove_secret(trial, client_id, key_id)
    done = status(trial, "--client-id", client_id)
    assert (done.returncode, "has no client secret and no certificate" in done.stderr) == (0, True)


def test_one_customer_that_cannot_be_read_does_not_hide_the_others(trial: Trial, tmp_path: Path) -> None:
    assert trial.up().returncode == 0
    settings = (trial.project / "Pulumi.sweep.yaml").read_text()
    wrong = "00000000-1111-2222-3333-444444444444"
    broken = settings.replace(trial.tenant.tenant_id, wrong)
    assert broken != settings
    (trial.project / "Pulumi.broken.yaml").write_text(broken)
    (trial.project / "Pulumi.later.yaml").write_text("config:\n  office365-mail:companyCode: LATER\n")
    found = told(trial, "--all-stacks", code=errors.SignInFailed.exit_code)
    assert [one["stack"] for one in found["registrations"]] == ["sweep"]
    (failure,) = found["failures"]
    assert (failure["target"], failure["error"], failure["exitCode"]) == ("broken", "SignInFailed", 4)
    assert "The stack later has no app registration yet." in found["notes"]
    file = trial.project / "ends.prom"
    assert status(trial, "--all-stacks", "--prometheus", "--output", str(file)).returncode == 4
    read = {s.labels["target"]: s.value for f in families(file.read_text()) for s in f.samples if "read" in s.name}
    assert read == {"sweep": 1, "broken": 0}
    calendar = trial.project / "ends.ics"
    assert status(trial, "--all-stacks", "--ics", "--output", str(calendar)).returncode == 4
    assert not calendar.exists(), "its readers would lose the events of the customer that could not be read"
    done = status(trial, "--all-stacks", "--within", "3650d")
    assert done.returncode == EXPIRING
    assert "provision: broken: " in done.stderr


def test_the_page_promises_every_name_that_programs_are_told(trial: Trial) -> None:
    client_id, _ = hand_made(trial, days=10)
    found = told(trial, "--client-id", client_id, "00000000-0000-0000-0000-000000000000", code=EXPIRING)
    parts = [found, *(found[name][0] for name in ("registrations", "secrets", "failures"))]
    page = (Path(__file__).parents[2] / "docs/expiry.md").read_text()
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|[^|]*\|$", page[page.index("## For programs") :], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {name for part in parts for name in part}


def families(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))


def test_metrics_are_what_prometheus_reads_and_are_replaced_at_once(trial: Trial) -> None:
    client_id, key_id = hand_made(trial, days=400)
    ours = add_secret(trial, client_id, "CLOUDEX Secret A", days=90)
    odd = add_secret(trial, client_id, 'say "\\n"\n', days=30)
    file = trial.project / "entra.prom"
    file.write_text("before")
    done = status(trial, "--client-id", client_id, "--prometheus", "--output", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in trial.project.iterdir() if "prom" in path.name] == ["entra.prom"]
    found = {family.name: family for family in families(file.read_text())}
    ends = found["entra_client_secret_expires_timestamp_seconds"]
    assert ends.type == "gauge"
    samples = {sample.labels["key_id"]: sample for sample in ends.samples}
    listed = {one["keyId"]: one for one in application(trial, client_id)["passwordCredentials"]}
    assert set(samples) == set(listed) == {key_id, ours, odd}
    for one, sample in samples.items():
        assert sample.value == datetime.fromisoformat(listed[one]["endDateTime"]).timestamp()
        assert (sample.labels["tenant"], sample.labels["client_id"]) == (trial.tenant.tenant_id, client_id)
    assert {one: sample.labels["slot"] for one, sample in samples.items()} == {
        key_id: "foreign",
        ours: "a",
        odd: "foreign",
    }
    deciding = {s.labels["key_id"]: s.value for s in found["entra_client_credential_deciding"].samples}
    assert deciding == {key_id: 0, ours: 1, odd: 0}
    assert status(trial, "--client-id", client_id, "--prometheus").stdout == file.read_text()


def test_a_calendar_holds_an_event_for_each_secret_and_keeps_it(trial: Trial) -> None:
    client_id, key_id = hand_made(trial, days=400)
    ours = add_secret(trial, client_id, "CLOUDEX Secret A", days=90)
    done = trial.run([str(PROVISION), "secrets", "status", "--client-id", client_id, "--ics", "--output", "ends.ics"])
    assert done.returncode == 0, done.stderr
    text = (trial.project / "ends.ics").read_bytes()
    lines = text.split(b"\r\n")
    assert b"\n" not in b"".join(lines)
    assert max(map(len, lines)) <= 75
    calendar = icalendar.Calendar.from_ical(text)
    assert (calendar["VERSION"], calendar.errors) == ("2.0", [])
    events = {str(event["UID"]): event for event in calendar.walk("VEVENT")}
    assert set(events) == {f"{key_id}@{client_id}", f"{ours}@{client_id}"}
    listed = {one["keyId"]: one for one in application(trial, client_id)["passwordCredentials"]}
    for one in (key_id, ours):
        event = events[f"{one}@{client_id}"]
        ends = datetime.fromisoformat(listed[one]["endDateTime"])
        assert event.errors == []
        assert (event.start, event.start.utcoffset()) == (ends, timedelta(0))
        assert "DTSTAMP" in event
        assert [alarm.trigger for alarm in event.alarms.times] == [ends - timedelta(days=30), ends - timedelta(days=7)]
        assert {str(alarm["ACTION"]) for alarm in event.walk("VALARM")} == {"DISPLAY"}
    remove_secret(trial, client_id, ours)
    again = icalendar.Calendar.from_ical(status(trial, "--client-id", client_id, "--ics").stdout)
    assert [str(event["UID"]) for event in again.walk("VEVENT")] == [f"{key_id}@{client_id}"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--client-id", "00000000-0000-0000-0000-000000000000"), 3, "There is no app registration"),
        (("--client-id", "x'y"), 3, "There is no app registration"),
        (("--client-id", "x", "--stack", "y"), 2, "not allowed with"),
        (("--stack", "nowhere"), 8, "There is no stack"),
        (("--all-stacks",), 3, "No stack has settings"),
        (("--stack", "x", "--within", "soon"), 2, "must be a number and a unit"),
        (("--stack", "x", "--json", "--ics"), 2, "not allowed with"),
        (("--stack", "x", "--journal", "file:///x"), 2, "belongs to --client-id"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(trial: Trial, words: tuple[str, ...], code: int, said: str) -> None:
    refused = status(trial, *words)
    assert refused.returncode == code, refused.stderr
    assert said in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize(("form", "library"), [("--ics", "icalendar"), ("--prometheus", "prometheus_client")])
def test_a_missing_library_is_said_before_anybody_signs_in(trial: Trial, form: str, library: str) -> None:
    folder = trial.project / "without"
    folder.mkdir()
    missing = f"raise ModuleNotFoundError('No module named {library}', name='{library}')\n"
    (folder / f"{library}.py").write_text(missing)
    trial.environment["PYTHONPATH"] = str(folder)
    asked = len(trial.sandbox.log())
    refused = status(trial, "--client-id", "x", form)
    assert refused.returncode == errors.InvalidInput.exit_code
    assert f"the Python package {library}, which is not installed" in refused.stderr
    assert "pip install 'provision[expiry]'" in refused.stderr
    assert len(trial.sandbox.log()) == asked


def test_a_file_that_cannot_be_written_is_said(trial: Trial) -> None:
    client_id, _ = hand_made(trial, days=400)
    refused = status(trial, "--client-id", client_id, "--prometheus", "--output", "/nowhere/entra.prom")
    assert refused.returncode == errors.InvalidInput.exit_code
    assert "/nowhere/entra.prom cannot be written" in refused.stderr
