"""A fleet's worker that is killed with all it has started is taken up again: the warm way loses nothing either.

The points that matter most; ``make sweep`` kills ``provision fleet up`` at every request.
"""

from __future__ import annotations

import pytest
from trial import Found, Trial

ONE = Found(applications=1, service_principals=1, grants=1, secrets=1, working=1)
WRITES = {"the registration": "/v1.0/applications$", "the secret": "/addPassword$"}


@pytest.mark.parametrize("action", ["hold_before", "hold_after"])
@pytest.mark.parametrize("write", WRITES)
def test_a_fleets_run_killed_at_a_write_is_finished_by_resume(trial: Trial, write: str, action: str) -> None:
    rule = {"name": "kill", "action": action, "match": {"method": "POST", "path": WRITES[write]}, "count": 1}
    line = trial.fleet_command()
    assert trial.killed_at(line, trial.environment, rule)
    again = trial.run(line)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "going on with run" in again.stderr
    assert trial.found() == ONE
    settled = trial.run(line)
    assert "unchanged" in settled.stdout, settled.stderr
