"""What is printed: the product's own words, aligned, and never a secret that was not asked for."""

from __future__ import annotations

import json
import shlex

from provision import report

OUTPUTS = {"clientSecret": "abc8Q~$'x", "clientId": "c-1", "tenantId": "t-1", "scopes": ["Mail.Send", "User.Read"]}
SECRETS = ("clientSecret",)


def test_the_table_speaks_the_help_pages_words_in_its_order() -> None:
    lines = report.outputs_table(report.mask(OUTPUTS, SECRETS, show_secrets=False)).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["TenantId", "ClientId", "ClientSecret"]
    assert "Mail.Send User.Read" in lines[5]


def test_no_form_shows_a_secret_that_was_not_asked_for() -> None:
    forms = [
        report.outputs_table(report.mask(OUTPUTS, SECRETS, show_secrets=False)),
        report.outputs_json(OUTPUTS, SECRETS, show_secrets=False),
        report.outputs_env(OUTPUTS, SECRETS, show_secrets=False),
    ]
    assert not [form for form in forms if "8Q~" in form]


def test_json_keeps_every_value_exactly_when_asked() -> None:
    assert json.loads(report.outputs_json(OUTPUTS, SECRETS, show_secrets=True)) == OUTPUTS
    assert json.loads(report.outputs_json(OUTPUTS, SECRETS, show_secrets=False))["clientSecret"] == "[secret]"


def test_env_lines_survive_a_shell() -> None:
    lines = report.outputs_env(OUTPUTS, SECRETS, show_secrets=True).splitlines()
    words = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    assert words["MAIL_CLIENT_SECRET"] == OUTPUTS["clientSecret"]


def test_the_mask_does_not_tell_the_length() -> None:
    short, long = ({"clientSecret": value} for value in ("a", "a" * 40))
    assert report.mask(short, SECRETS, show_secrets=False) == report.mask(long, SECRETS, show_secrets=False)


def test_a_table_without_rows_still_has_its_heading() -> None:
    assert report.table(("Change", "Name"), []).splitlines()[0] == "Change  Name"
