"""exchangelib with nothing set but an address and a password, at the public names of both Exchanges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount"]


def may_have_namespaces() -> bool:
    return subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_have_namespaces(), reason="this machine gives no network namespace")
def test_autodiscover_and_oauth_need_no_address(tmp_path: Path) -> None:
    paths = [str(HERE.parent / "entra"), str(HERE.parent / "ews"), str(HERE.parents[2])]
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_BUNDLE", "CERT_FILE"))}
    done = subprocess.run(
        [*_NAMESPACES, sys.executable, str(HERE / "public_names.py"), str(tmp_path / "tenant")],
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "endpoint": "https://mail.contoso.example/EWS/Exchange.asmx",
        "auth": "NTLM",
        "own": ["ada@contoso.example"],
        "cloud": 1,
        "hosts": ["mail.contoso.example", "outlook.office365.com"],
    }
