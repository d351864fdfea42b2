"""The ready pipelines in ``ci``: the linters that people use for such files find nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CI = ROOT / "ci"
SCHEMAS = {
    "github-actions.yml": ["--builtin-schema", "vendor.github-workflows"],
    # The schema that Microsoft publishes has a pattern that is no Unicode regular expression.
    "azure-pipelines.yml": [
        *("--builtin-schema", "vendor.azure-pipelines"),
        *("--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"),
    ],
    "gitlab-ci.yml": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_file_in_the_folder_is_checked_here() -> None:
    assert {file.name for file in CI.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_what_the_platforms_own_schema_describes(name: str, tmp_path: Path) -> None:
    checked = tool("check-jsonschema", *SCHEMAS[name], str(CI / name))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    wrong = tmp_path / name
    wrong.write_text(re.sub(r"^( *)(runs-on|steps|script):", r"\1no-such-key:", (CI / name).read_text(), flags=re.M))
    assert tool("check-jsonschema", *SCHEMAS[name], str(wrong)).returncode == 1, "the linter sees nothing"


def test_githubs_workflow_gives_an_attacker_no_hold(tmp_path: Path) -> None:
    audit = ("--offline", "--no-config", "--persona", "auditor")
    audited = tool("zizmor", *audit, str(CI / "github-actions.yml"))
    assert audited.returncode == 0, audited.stdout
    loose = re.sub(r"@[0-9a-f]{40} # (v\d+).*", r"@\1", (CI / "github-actions.yml").read_text())
    (tmp_path / "loose.yml").write_text(loose)
    assert "unpinned-uses" in tool("zizmor", *audit, str(tmp_path / "loose.yml")).stdout
