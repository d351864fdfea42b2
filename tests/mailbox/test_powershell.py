"""The script for an IT provider: whole, parsed by a PowerShell grammar, and safe whatever the names are.

PowerShell 7 itself comes from no registry that this project takes packages from; where it is installed it parses the
scripts too. Elsewhere the grammar of ``tree-sitter-powershell`` does, which is not Microsoft's own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from provision.errors import InvalidInput
from provision.mailbox.powershell import Targets, mailbox_script, organization_script, quoted
from provision.mailbox.values import Switch
from provision.settings.endpoints import of_cloud

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
PUBLIC = of_cloud("public").exchange
HOSTILE = (
    "o'brien@contoso.example",
    "a';Remove-Mailbox$x;'@contoso.example",
    "\u2019;Remove-Mailbox;\u2018@contoso.example",
    "$(Remove-Mailbox)@contoso.example",
    "`n@contoso.example",
    "#a@contoso.example",
    "{}%@contoso.example",
)
SCRIPTS = {
    **{
        f"one-{switch}": mailbox_script(Targets(("anna@contoso.example",)), switch, exchange=PUBLIC)
        for switch in Switch
    },
    "many": mailbox_script(Targets(HOSTILE), Switch.ON, exchange=PUBLIC),
    "group": mailbox_script(Targets(group="Sales 'n' \u2018Marketing\u2019"), Switch.ON, exchange=PUBLIC),
    "all": mailbox_script(Targets(everyone=True), Switch.INHERITS, exchange=of_cloud("dod").exchange),
    "look": organization_script(smtp_auth=None, legacy_tls=None, exchange=PUBLIC),
    "off": organization_script(smtp_auth=False, legacy_tls=False, exchange=PUBLIC),
    "on": organization_script(smtp_auth=True, legacy_tls=True, exchange=PUBLIC),
}


def parsed(script: str) -> tree_sitter.Node:
    return PARSER.parse(script.encode()).root_node


def commands(node: tree_sitter.Node) -> list[str]:
    found = [node.text.decode()] if node.type == "command_name" and node.text else []
    return found + [name for child in node.children for name in commands(child)]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_is_powershell(script: str) -> None:
    assert not parsed(script).has_error


def test_the_parser_would_see_a_mistake() -> None:
    assert parsed(SCRIPTS["many"].replace("} finally", "finally")).has_error


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_is_complete(script: str) -> None:
    names = commands(parsed(script))
    assert names[:2] == ["Import-Module", "Connect-ExchangeOnline"]
    assert "Get-TransportConfig" in names
    assert names[-1] == "Disconnect-ExchangeOnline"


@pytest.mark.parametrize(
    ("switch", "value"), [(Switch.ON, "$false"), (Switch.OFF, "$true"), (Switch.INHERITS, "$null")]
)
def test_the_switch_is_set_as_exchange_has_it(switch: Switch, value: str) -> None:
    script = SCRIPTS[f"one-{switch}"]
    assert f"Set-CASMailbox -Identity $identity -SmtpClientAuthenticationDisabled {value}\n" in script
    names = commands(parsed(script))
    assert names.index("Get-CASMailbox") < names.index("Set-CASMailbox")
    assert "Get-CASMailbox" in names[names.index("Set-CASMailbox") :]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_parameter_that_does_not_exist_is_nowhere(script: str) -> None:
    assert "SmtpClientAuthenticationEnabled" not in script


def test_hostile_names_are_data() -> None:
    names = commands(parsed(SCRIPTS["many"]))
    assert "Remove-Mailbox" not in names
    assert "Remove-Mailbox" in SCRIPTS["many"]
    lines = [line.strip().rstrip(",") for line in SCRIPTS["many"].splitlines()]
    assert all(quoted(name) in lines for name in HOSTILE)


@pytest.mark.parametrize("quote", ["'", "\u2018", "\u2019", "\u201a", "\u201b"])
def test_whatever_powershell_takes_for_a_quote_is_doubled(quote: str) -> None:
    assert quoted(f"a{quote}b") == f"'a{quote}{quote}b'"


@pytest.mark.parametrize("text", ["a\nRemove-Mailbox", "a\r", "a\u2028b", "a\u0000"])
def test_what_cannot_be_printed_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be printed"):
        quoted(text)


def test_a_national_cloud_is_named() -> None:
    assert "Connect-ExchangeOnline -ShowBanner:$false -ExchangeEnvironmentName O365USGovDoD\n" in SCRIPTS["all"]
    assert "-ExchangeEnvironmentName" not in SCRIPTS["many"]


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="PowerShell 7 is not installed")
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_powershell_itself_parses_it(script: str, tmp_path: Path) -> None:
    file = tmp_path / "script.ps1"
    file.write_text(script, encoding="utf-8-sig")
    parse = (
        "$errors = $null; [void][System.Management.Automation.Language.Parser]::ParseFile("
        f"'{file}', [ref]$null, [ref]$errors); $errors; exit $errors.Count"
    )
    subprocess.run(["pwsh", "-NoProfile", "-Command", parse], check=True)
