"""The azuread plugin's `az` calls are answered by the process that signed in; the token leaves no trace on disk."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from azure.core.credentials import AccessToken

from provision.errors import SignInFailed
from provision.microsoft.az_bridge import AzBridge
from provision.microsoft.credentials import Credential
from provision.microsoft.tokens import Caller
from provision.settings.endpoints import of_cloud

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the bridge is a Unix socket")
TOKEN = "header.payload.signature"


class Fixed:
    """A credential that gives one token, or refuses."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refuses = False

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        if self.refuses:
            raise SignInFailed("Signing in failed.", remedy="Sign in again.")
        self.asked.append(scopes)
        return AccessToken(TOKEN, int(time.time()) + 3600)


@pytest.fixture
def fixed() -> Fixed:
    return Fixed()


@pytest.fixture
def bridge(fixed: Fixed) -> Iterator[AzBridge]:
    caller = Caller("11111111-1111-1111-1111-111111111111", "oid", "app", "user", "ada@contoso.com")
    with AzBridge(Credential(fixed, of_cloud("public"), None), caller) as open_bridge:
        yield open_bridge


def az(bridge: AzBridge, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **bridge.environment(dict(os.environ))}
    return subprocess.run(["az", *words], env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_the_plugins_three_calls(bridge: AzBridge, fixed: Fixed) -> None:
    assert json.loads(az(bridge, "version", "-o=json").stdout)["azure-cli"].startswith("2.")
    account = json.loads(az(bridge, "account", "show", "-o=json").stdout)
    assert (account["tenantId"], account["user"]["type"]) == ("11111111-1111-1111-1111-111111111111", "user")
    scope = "https://graph.microsoft.com/.default"
    said = az(bridge, "account", "get-access-token", "--scope", scope, "--tenant", "t", "-o=json")
    answer = json.loads(said.stdout)
    assert answer["accessToken"] == TOKEN
    time.strptime(answer["expiresOn"], "%Y-%m-%d %H:%M:%S.%f")
    assert fixed.asked == [(scope,)]


def test_azure_identity_can_ask_it_too(bridge: AzBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.identity import AzureCliCredential

    monkeypatch.setenv("PATH", bridge.environment(dict(os.environ))["PATH"])
    assert AzureCliCredential().get_token("https://graph.microsoft.com/.default").token == TOKEN


def test_a_refusal_reaches_the_plugin_as_az_would_say_it(bridge: AzBridge, fixed: Fixed) -> None:
    fixed.refuses = True
    said = az(bridge, "account", "get-access-token", "--scope", "x/.default")
    assert said.returncode == 1
    assert "Signing in failed." in said.stderr


def test_nothing_else_is_answered(bridge: AzBridge) -> None:
    assert az(bridge, "ad", "app", "list").returncode == 2


def test_nobody_else_may_ask_and_nothing_stays(bridge: AzBridge) -> None:
    az(bridge, "account", "get-access-token", "--scope", "x/.default")
    assert stat.S_IMODE(bridge.folder.stat().st_mode) == 0o700
    assert not [file for file in bridge.folder.iterdir() if file.is_file() and TOKEN in file.read_text()]
    bridge.close()
    assert not bridge.folder.exists()
