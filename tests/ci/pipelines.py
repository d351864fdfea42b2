"""What each platform makes of its file: the scripts of one run, with the environment of each, in order.

Reads the little of each platform's language that the files in ``ci`` use; a name or a form that is not known fails.
Sources: GitHub, "Workflow syntax for GitHub Actions"; Microsoft, "Expressions" and "Define variables" of Azure
Pipelines; GitLab, "CI/CD YAML syntax reference". Steps that another party's code does (checkout, Python, the cache) are
left out; the test does the same by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

CI = Path(__file__).parents[2] / "ci"
Event = Literal["schedule", "pull request", "fork's pull request"]


@dataclass(frozen=True)
class Script:
    """One step."""

    text: str
    environment: dict[str, str]


def github(event: Event, vars_: Mapping[str, str], secrets: Mapping[str, str], workspace: Path) -> list[Script]:
    """The ``run:`` steps. GitHub's own bash is ``bash -e``."""
    file = yaml.safe_load((CI / "github-actions.yml").read_text())
    assert "pull_request" in file[True], "YAML 1.1 reads the key `on` as true"
    context = {f"vars.{name}": value for name, value in vars_.items()}
    context |= {f"secrets.{name}": value for name, value in secrets.items()}
    context |= {
        "github.workspace": str(workspace),
        "github.repository": "contoso/mail",
        "github.event_name": "schedule" if event == "schedule" else "pull_request",
        "github.event.pull_request.head.repo.full_name": "fork/mail" if event.startswith("fork") else "contoso/mail",
    }

    def value(expression: str) -> Any:
        python = expression.replace("&&", " and ").replace("||", " or ")
        python = re.sub(r"'[^']*'|[a-z_]+(?:\.\w+)+", lambda m: _quoted(m[0], context), python)
        return eval(python, {"__builtins__": {}})

    def filled(environment: Mapping[str, str]) -> dict[str, str]:
        return {
            name: re.sub(r"\$\{\{(.*?)\}\}", lambda m: str(value(m[1])), text) for name, text in environment.items()
        }

    (job,) = file["jobs"].values()
    if not value(job["if"]):
        return []
    steps = [step for step in job["steps"] if "run" in step and value(step.get("if", "True"))]
    return [Script(step["run"], filled(job["env"]) | filled(step.get("env", {}))) for step in steps]


def azure_devops(event: Event, group: Mapping[str, str], secrets: Mapping[str, str], workspace: Path) -> list[Script]:
    """The ``script:`` steps. Variables that are no secret are in every step's environment by themselves."""
    file = yaml.safe_load((CI / "azure-pipelines.yml").read_text())
    predefined = {
        "Build.Reason": "Schedule" if event == "schedule" else "PullRequest",
        "System.PullRequest.IsFork": str(event.startswith("fork")),
        "Pipeline.Workspace": str(workspace),
    }

    def holds(condition: str) -> bool:
        known = {
            "variables": predefined,
            "all_of": lambda *these: all(these),
            "succeeded": lambda: True,
            "eq": lambda a, b: a == b,
            "ne": lambda a, b: a != b,
        }
        return bool(eval(condition.replace("and(", "all_of("), {"__builtins__": {}}, known))

    def filled(text: str, names: Mapping[str, str]) -> str:
        return re.sub(r"\$\(([\w.]+)\)", lambda m: names[m[1]], text)

    variables: dict[str, str] = {}
    for entry in file["variables"]:
        if "name" in entry:
            variables[entry["name"]] = filled(entry["value"], predefined)
    (conditional,) = [
        content
        for entry in file["variables"]
        for key, content in entry.items()
        if key.startswith("${{ if ") and holds(key.removeprefix("${{ if ").removesuffix(" }}"))
    ]
    assert conditional == [{"group": "client-secrets" if event == "schedule" else "client-secrets-preview"}]
    variables |= group
    (job,) = file["jobs"]
    if not holds(job["condition"]):
        return []
    steps = [step for step in job["steps"] if "script" in step and holds(step.get("condition", "succeeded()"))]
    return [
        Script(
            step["script"],
            variables | {name: filled(text, variables | secrets) for name, text in step.get("env", {}).items()},
        )
        for step in steps
    ]


def gitlab(event: Event, settings: Mapping[str, str], workspace: Path) -> list[Script]:
    """The lines of the jobs that the event starts, each job's as one script, as the runner does."""
    file = yaml.safe_load((CI / "gitlab-ci.yml").read_text())
    ours, theirs = "4711", "4712"
    names = {
        **settings,
        "CI_PROJECT_DIR": str(workspace),
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_BRANCH": "main" if event == "schedule" else "",
        "CI_PIPELINE_SOURCE": "schedule" if event == "schedule" else "merge_request_event",
        "CI_PROJECT_ID": ours,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": theirs if event.startswith("fork") else ours,
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "rotation",
    }

    def holds(rule: str) -> bool:
        python = rule.replace("&&", " and ").replace("||", " or ")
        python = re.sub(r"\$(\w+)", lambda m: repr(names[m[1]]), python)
        return bool(eval(" ".join(python.split()), {"__builtins__": {}}))

    scripts = []
    for name, own in file.items():
        if name.startswith("."):
            continue
        job = {**file[own["extends"]], **own}
        if any(holds(rule["if"]) for rule in job["rules"]):
            variables = {key: re.sub(r"\$(\w+)", lambda m: names[m[1]], text) for key, text in job["variables"].items()}
            lines = [*job["before_script"], *job["script"]]
            assert list(job["id_tokens"]) == ["GITLAB_OIDC_TOKEN"]
            scripts.append(Script("\n".join(lines), {**settings, **variables}))
    return scripts


def _quoted(word: str, context: Mapping[str, str]) -> str:
    return word if word.startswith("'") else repr(context[word])
