"""Every command of every page works as it stands: each ``sh`` block is run, in order, against the local tenant.

A page is followed as its reader would follow it, in one folder, from the first block to the last. Signing in is given
by the environment (``docs/credentials.md``), one sign-in for each customer, as an MSP has it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from trial import Trial

from provision.cli import build_parser
from provision.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BY_MAKE = {"make demo", "make test"}
"""Run elsewhere: the demo by ``test_demo.py``, the tests by whoever runs this."""
CUSTOMERS = ("contoso", "fabrikam")


def blocks(page: Path) -> list[str]:
    return [body for language, body in BLOCK.findall(page.read_text(encoding="utf-8")) if language == "sh"]


def commands(page: Path) -> list[str]:
    return [line for block in blocks(page) for line in block.splitlines() if line.strip() and line not in BY_MAKE]


def test_a_block_without_a_language_hides_no_command() -> None:
    for page in PAGES:
        for language, body in BLOCK.findall(page.read_text(encoding="utf-8")):
            assert language, f"{page.name}: name the language of the block that begins {body[:40]!r}"
            if language in {"text", "yaml", "toml", "json"}:
                assert not re.search(r"^\$ ", body, re.MULTILINE), f"{page.name}: a command hides in a {language} block"


def test_a_snippet_for_somewhere_else_is_yaml_and_its_commands_are_understood() -> None:
    """A pipeline's file or an alert's rules cannot be run here; what they call can at least be read by the parser."""
    seen = 0
    for page in PAGES:
        for language, body in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "yaml":
                assert yaml.safe_load(body), page.name
                for command in re.findall(r"^\s*-? ?(?:run: |script: )?(provision .*)$", body, re.MULTILINE):
                    build_parser().parse_args(shlex.split(command)[1:])
                    seen += 1
    assert seen >= 3


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_the_readme_opens_with_the_two_commands() -> None:
    assert blocks(ROOT / "README.md")[0].splitlines() == ["make demo", "make test"]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_work_as_they_stand(page: Path, tmp_path: Path) -> None:
    with Sandbox(tmp_path / "tenant") as sandbox:
        customers = {name: _customer(sandbox, name, tmp_path / name) for name in CUSTOMERS}
        script = _script(commands(page), customers)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=customers["contoso"].project,
            env=_environment(customers["contoso"], tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        for customer in customers.values():
            customer.close()
    assert done.returncode == 0, f"{page.name}\n{done.stdout}\n{done.stderr}"


def _customer(sandbox: Sandbox, name: str, folder: Path) -> Trial:
    domain = f"{name}.onmicrosoft.com"
    tenant = sandbox.first if sandbox.domain == domain else sandbox.new_tenant(domain)
    return Trial(sandbox, folder, tenant=tenant)


def _environment(customer: Trial, folder: Path) -> dict[str, str]:
    """A reader's shell: the commands on PATH, a home of one's own, a registration that somebody clicked before."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    clicked = customer.click()
    return customer.environment | {"PATH": path, "XDG_DATA_HOME": str(folder / "share"), "CLIENT_ID": clicked}


def _script(lines: list[str], customers: dict[str, Trial]) -> str:
    """The commands, each with the sign-in of the customer that it names (contoso's when it names none)."""
    script = []
    for line in lines:
        named = next((name for name in CUSTOMERS if name in line), "contoso")
        signed_in = {k: v for k, v in customers[named].environment.items() if k.startswith("ARM_")}
        exports = " ".join(f"{name}='{value}'" for name, value in signed_in.items())
        script += [f"export {exports}", f"echo '$ '{_quoted(line)} >&2", line]
    return "\n".join(script)


def _quoted(line: str) -> str:
    return "'" + line.replace("'", "'\\''") + "'"
