"""A product goes on sending while its secret is rotated; ``make sweep`` does this two hundred times.

The second half shows that the trial notices what it is there for: a hasty rotation, by hand, costs mails.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import gapless

from provision.sandbox import Sandbox


def test_no_mail_fails_while_secrets_are_rotated_under_weather(tmp_path: Path) -> None:
    found = gapless.under_weather("graph", 5, tmp_path, seed=1)
    assert found.problems == []
    assert (found.rotations, found.lost, found.orphaned) == (5, 0, 0)
    assert len(found.sent) > 5 * gapless.OVERLAP / gapless.EVERY


def test_a_secret_published_before_entra_knows_it_costs_mails_and_the_trial_counts_them(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    shop = gapless.Shop(sandbox, tmp_path / "shop", "graph")
    good = shop.file.read_text()
    app = next(a for a in shop.trial.get("/applications?$top=999") if a["appId"] == shop.client_id)
    body = {"passwordCredential": {"displayName": "hasty"}}
    shop.grow_old(1.0)  # before the weather: Graph would not list yet what was made a moment ago
    sandbox.set_faults(replication_delay=1.0)
    try:
        made = shop.trial.request("POST", f"/applications/{app['id']}/addPassword", body).raise_for_status().json()
        with shop.sender() as sender:
            time.sleep(0.5)
            shop.file.write_text(f"{gapless.VARIABLE}={made['secretText']}\n")
            time.sleep(3)
    finally:
        sandbox.clear_faults()
    failed = [mail for mail in sender.sent if mail.problem]
    assert {json.loads(mail.problem)["code"] for mail in failed} == {"AADSTS7000215"}
    assert {mail.number.split()[0] for mail in failed} == {"FILE"}, "the webhook has brought HOOK nothing new"
    assert good not in shop.file.read_text()
    shop.trial.close()
