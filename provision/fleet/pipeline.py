"""A fleet in GitHub Actions: one workflow whose jobs divide the tenants among themselves.

Owns: the workflow's text, and into how many equal parts a fleet is divided. Does not own: what a job does.

The workflow does not name the tenants: its first job divides the fleet file of that commit, so that a new row needs no
new workflow. It signs in with the job's own token, asks for no more permission than that and the checkout, pins each
action by commit, and lets one run of a fleet at a time through.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from provision.errors import InvalidInput, WouldOverwrite
from provision.fleet.outcome import Action
from provision.fleet.source import Fleet

MOST_JOBS = 256
"""Jobs that one matrix may make ("Running variations of jobs in a workflow", GitHub Docs)."""
PER_JOB = 50
"""Tenants of one job unless said otherwise."""
PINNED = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "setup-python": "actions/setup-python@ece7cb06caefa5fff74198d8649806c4678c61a1 # v6.3.0",
    "cache": "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5",
}
"""The actions, as in ``ci/github-actions.yml``."""

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_OWN = frozenset({"ARM_CLIENT_ID", "PROVISION_FLEET_STORE", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"})


def shards(tenants: int, per_job: int = PER_JOB) -> list[str]:
    """The parts into which so many tenants are divided: ``1/3``, ``2/3``, ``3/3``.

    Args:
        tenants: how many there are.
        per_job: how many one job is to have; more where there would be too many jobs.
    """
    count = min(max(-(-tenants // per_job), 1), MOST_JOBS)
    return [f"{number}/{count}" for number in range(1, count + 1)]


def variables_of(fleet: Fleet) -> list[str]:
    """The environment variables that the credentials read; those whose name differs for each tenant are left out."""
    found = set()
    for tenant in fleet.tenants:
        if tenant.credential is not None:
            references = (
                tenant.credential.secret,
                tenant.credential.certificate,
                tenant.credential.certificate_password,
            )
            found |= {text.removeprefix("env:") for text in references if text and text.startswith("env:")}
    return sorted(name for name in found if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in _OWN)


def workflow(fleet: Fleet, action: Action, *, per_job: int = PER_JOB) -> str:
    """The workflow's text.

    Args:
        fleet: as it was read; its path is written as it is in the repository.
        action: what is done for each tenant.
        per_job: how many tenants a job has.

    Raises:
        InvalidInput: the fleet file's path is none inside a repository.
    """
    path = fleet.path.as_posix()
    if not _FILE.fullmatch(path):
        raise InvalidInput(
            f"{path} is no path inside a repository.",
            remedy="Run this in the repository's folder, and call the file plainly, as in tenants.yaml.",
        )
    text = _WORKFLOW
    for mark, value in (
        ("FLEET", fleet.name),
        ("FILE", path),
        ("ACTION", action),
        ("PER_JOB", str(per_job)),
        *((name.upper().replace("-", "_"), pinned) for name, pinned in PINNED.items()),
    ):
        text = text.replace(f"@{mark}@", value)
    return text.replace("@SECRETS@", _secrets(variables_of(fleet)))


def write(path: Path, text: str) -> None:
    """Writes the workflow into a new file; its folder is made.

    Raises:
        WouldOverwrite: there is a file of that name.
        InvalidInput: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise WouldOverwrite(f"{path} is already there.", remedy="Name another file, or remove it yourself.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.", remedy="Name another folder.") from None


def _secrets(names: Collection[str]) -> str:
    own = ("PROVISION_FLEET_STORE", "PULUMI_CONFIG_PASSPHRASE")
    return "\n".join(f"          {name}: ${{{{ secrets.{name} }}}}" for name in (*own, *names))


_WORKFLOW = """\
# Does `provision fleet @ACTION@` for every tenant of @FILE@, some in each job; docs/fleet.md says what to set.
# Made by `provision fleet pipeline`; it needs no change when tenants come or go.
name: fleet @FLEET@
on:
  schedule:
    - cron: "17 5 * * 1"
  workflow_dispatch:
permissions: {}
# One run of a fleet at a time; the tenants' leases in the store hold against everybody else.
concurrency:
  group: provision-fleet-@FLEET@
  cancel-in-progress: false
jobs:
  divide:
    name: divide
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    permissions:
      contents: read # the checkout
    outputs:
      shards: ${{ steps.divide.outputs.shards }}
    env:
      FLEET_FILE: @FILE@
    steps:
      - uses: @CHECKOUT@
        with:
          persist-credentials: false
      - uses: @SETUP_PYTHON@
        with:
          python-version: "3.12"
      - name: Install
        run: |
          python -m venv .venv
          .venv/bin/pip install --require-hashes -r requirements.lock
          .venv/bin/pip install --no-deps --no-build-isolation .
      - name: Divide the tenants
        id: divide
        run: |
          shards=$(.venv/bin/provision fleet pipeline --file "$FLEET_FILE" --matrix --per-job @PER_JOB@)
          echo "shards=$shards" >> "$GITHUB_OUTPUT"
  tenants:
    name: tenants ${{ matrix.shard }}
    needs: divide
    runs-on: ubuntu-24.04
    timeout-minutes: 350
    permissions:
      contents: read # the checkout
      id-token: write # the job's own token, in place of a secret
    environment: fleet-@FLEET@
    strategy:
      fail-fast: false # one tenant's failure is its own
      max-parallel: 8
      matrix:
        shard: ${{ fromJSON(needs.divide.outputs.shards) }}
    env:
      FLEET_FILE: @FILE@
      SHARD: ${{ matrix.shard }}
      ARM_CLIENT_ID: ${{ vars.ARM_CLIENT_ID }}
      PROVISION_CREDENTIAL: workload-identity:github
      PROVISION_CACHE: ${{ github.workspace }}/.engine
      PULUMI_BACKEND_URL: ${{ vars.PULUMI_BACKEND_URL }}
    steps:
      - uses: @CHECKOUT@
        with:
          persist-credentials: false
      - uses: @SETUP_PYTHON@
        with:
          python-version: "3.12"
      - uses: @CACHE@
        with:
          path: .engine
          key: provision-engine-${{ runner.os }}-${{ runner.arch }}-${{ hashFiles('provision/engine/**') }}
      - name: Install
        run: |
          python -m venv .venv
          .venv/bin/pip install --require-hashes -r requirements.lock
          .venv/bin/pip install --no-deps --no-build-isolation .
      - name: "@ACTION@"
        run: .venv/bin/provision fleet @ACTION@ --file "$FLEET_FILE" --shard "$SHARD" --junit "fleet.xml"
        env:
@SECRETS@
"""
