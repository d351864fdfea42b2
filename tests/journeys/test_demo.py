"""``make demo`` ends with the three values, a mail by Graph, and one by SMTP once the tenant is diagnosed and mended;
``make`` itself has made the environment by now.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_ends_with_three_values_and_two_delivered_mails() -> None:
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
    graph, _, smtp = done.stdout.partition("\n6. ")
    assert "Order 4711" in graph
    refused, _, diagnosed = smtp.partition("\n7. ")
    assert "refused: 535 5.7.139" in refused
    assert "SmtpClientAuthentication is disabled for the Tenant" in refused
    why, _, mended = diagnosed.partition("\n8. ")
    assert "[organization-smtp-off]" in why
    assert "in the mailbox of" not in refused + why
    assert "in the mailbox of bob@contoso.onmicrosoft.com: 'Label 4712' from ada@contoso.onmicrosoft.com" in mended
