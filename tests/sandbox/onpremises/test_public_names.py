"""Clients with nothing set but an address and a password, at the public names of both Exchanges, by a real DNS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
_NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount"]


def may_have_namespaces() -> bool:
    return subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_have_namespaces(), reason="this machine gives no network namespace")


def played(story: str, tmp_path: Path) -> Any:
    """What a story saw in a namespace of its own."""
    paths = [str(HERE.parent / "entra"), str(HERE.parent / "ews"), str(HERE.parents[2])]
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_BUNDLE", "CERT_FILE"))}
    done = subprocess.run(
        [*_NAMESPACES, sys.executable, str(HERE / "public_names.py"), str(tmp_path / "tenant"), story],
        env=environment | {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_autodiscover_and_oauth_need_no_address(tmp_path: Path) -> None:
    assert played("names", tmp_path) == {
        "endpoint": "https://mail.contoso.example/EWS/Exchange.asmx",
        "auth": "NTLM",
        "own": ["ada@contoso.example"],
        "cloud": 1,
        "hosts": ["mail.contoso.example", "outlook.office365.com"],
    }


def test_a_service_record_in_dns_leads_verify_to_the_company_s_own_exchange(tmp_path: Path) -> None:
    """Neither the domain nor autodiscover.DOMAIN has an address; the SRV record alone makes the difference."""
    seen = played("service", tmp_path)
    assert seen["without"]["asked"] is True
    assert seen["without"]["steps"] == [["autodiscover", "refused"]]
    assert (seen["without"]["code"], seen["with"]["code"]) == (15, 0)
    assert seen["with"]["asked"] is True
    assert seen["with"]["said"] == "https://mail.contoso.example/EWS/Exchange.asmx"
    assert [outcome for _, outcome in seen["with"]["steps"]] == ["done"] * 5
