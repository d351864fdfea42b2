"""``make demo`` ends with the three values and a mail delivered; ``make`` itself has made the environment by now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_ends_with_three_values_and_a_delivered_mail() -> None:
    """Also for somebody whose shell is set up for a customer: the demo touches neither that state nor that tenant."""
    elsewhere = {"PULUMI_BACKEND_URL": "file:///nonexistent", "PULUMI_STACK": "customer", "ARM_USE_MSI": "true"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/demo.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **elsewhere},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (ROOT / "Pulumi.demo.yaml").exists(), "the next command would take it for the only stack"
    for value in ("TenantId", "ClientId", "ClientSecret"):
        assert f"\n{value} " in done.stdout
    assert "••••" in done.stdout
    assert "in the mailbox of bob@contoso.onmicrosoft.com: 'Order 4711' from ada@contoso.onmicrosoft.com" in done.stdout
