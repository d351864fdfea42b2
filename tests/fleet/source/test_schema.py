"""The published JSON Schema says what reading says, as a checker that nobody here wrote sees it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.fleet.source import read_fleet
from provision.fleet.source.schema import PUBLISHED, text
from provision.fleet.source.writing import begin

GOOD = """\
fleet: customers
defaults: {secretMonths: 12, sinks: ["vault:secret/{key}#client_secret"]}
credentials:
  partner: {method: client-secret, clientId: 11111111-2222-3333-4444-555555555555, secret: "env:PARTNER_{key}"}
  pinned: {inherits: partner, method: certificate, certificate: "file:/srv/partner.pfx"}
tenants:
  - key: contoso
    tenant: 11111111-2222-3333-4444-555555555555
    companyCode: ACME
    credential: pinned
    mailboxes: [anna@contoso.com]
    groups: north big
    secretInState: true
    secretEndDate: 2028-11-23
  - {key: fabrikam, tenant: fabrikam.onmicrosoft.com, companyCode: 123, credential: workload-identity}
"""


def check(file: Path) -> subprocess.CompletedProcess[str]:
    checker = Path(sys.executable).with_name("check-jsonschema")
    return subprocess.run(
        [checker, "--schemafile", PUBLISHED, file], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_published_schema_is_the_one_that_the_table_of_fields_makes() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == text(), "run `make docs`"
    assert json.loads(text())["properties"]["tenants"]["items"]["properties"]["companyCode"]["description"]


def test_the_schema_itself_is_one() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run([checker, "--check-metaschema", PUBLISHED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_reading_takes_the_schema_takes(tmp_path: Path) -> None:
    file = tmp_path / "tenants.yaml"
    file.write_text(GOOD)
    assert not read_fleet(file).problems
    done = check(file)
    assert done.returncode == 0, done.stdout
    begin(tmp_path / "new.yaml", "customers")
    assert check(tmp_path / "new.yaml").returncode == 0


def test_the_sample_of_the_page_is_a_fleet_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/fleet.md").read_text(encoding="utf-8")
    samples = [
        text for text in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "tenants:" in text
    ]
    assert samples
    for number, sample in enumerate(samples):
        file = tmp_path / f"{number}.yaml"
        file.write_text(sample, encoding="utf-8")
        assert not read_fleet(file).problems
        assert len(read_fleet(file).tenants) == 2
        assert check(file).returncode == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("key: contoso", "key: Contoso"), "tenants[0].key"),
        (("key: contoso", "key: nul"), "tenants[0].key"),
        (("    companyCode: ACME", "    companycode: ACME"), "companycode"),
        (("companyCode: ACME", "companyCode: 'AC ME'"), "tenants[0].companyCode"),
        (("secretMonths: 12", "secretMonths: 99"), "defaults.secretMonths"),
        (("method: certificate", "method: guess"), "credentials.pinned.method"),
        (('secret: "env:PARTNER_{key}"', "secret: hunter2"), "credentials.partner.secret"),
        (("tenant: 11111111-2222-3333-4444-555555555555", "x: y"), "tenants[0]"),
        (("fleet: customers", "flet: customers"), "'flet' was unexpected"),
    ],
)
def test_what_an_editor_can_mark_both_refuse(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    file = tmp_path / "tenants.yaml"
    assert change[0] in GOOD
    file.write_text(GOOD.replace(*change))
    done = check(file)
    assert done.returncode == 1
    assert what in done.stdout
    with contextlib.suppress(InvalidInput):  # refused as a whole
        assert read_fleet(file).problems
