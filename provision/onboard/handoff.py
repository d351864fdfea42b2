"""The file for the person who types the three values into the product."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.errors import InvalidInput
from provision.secrets.files import write_new_private_file

_TEMPLATE = """\
{product}: connection to Microsoft 365

Enter these three values in the product's Office 365 settings:

  TenantId      {tenantId}
  ClientId      {clientId}
  ClientSecret  {clientSecret}

The secret expires on {secretExpires}; after that day no mail can be sent with it.
Redirect URI registered (Web, letter case matters): {redirectUri}

Afterwards each user opens their profile in the product, presses "Office365 setup", then "Connect to Microsoft".
This file holds a password: delete it once the values are entered. Do not send it by unprotected mail.
"""


def write_handoff(path: Path, outputs: Mapping[str, Any], *, product: str) -> None:
    """Writes the hand-off file (0600, never overwriting).

    Args:
        path: the file to make.
        outputs: the stack's outputs, secrets in clear.
        product: the product's name, for the heading.

    Raises:
        InvalidInput: the stack has no client secret to hand over.
        WouldOverwrite: the file exists.
    """
    missing = [name for name in ("tenantId", "clientId", "clientSecret") if not outputs.get(name)]
    if missing:
        raise InvalidInput(
            f"There is nothing to hand over: the stack has no {', '.join(missing)}.",
            remedy="Run `provision up` first; with `secretInState: false` the value is in the file named then.",
        )
    write_new_private_file(path, _TEMPLATE.format_map({"product": product, **outputs}))
