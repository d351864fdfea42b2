"""Exchange on a running server over TLS: the control API's people and calendar, weather, the log, public host names."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from provision.sandbox.config import Refused
from provision.sandbox.process import Sandbox, Tenant


class Client:
    """ExoHelper's way: a token by client secret, a cmdlet by POST; httpx knows nothing of the tenant."""

    def __init__(self, sandbox: Sandbox, tenant: Tenant, *, login: str = "", outlook: str = "", port: int = 0) -> None:
        self.tenant = tenant
        self.login = login or sandbox.base_url
        self.outlook = outlook or sandbox.base_url
        context = ssl.create_default_context(cafile=str(sandbox.ca_file))
        self.http = httpx.Client(verify=context, trust_env=False)
        self.port = port

    def token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.tenant.admin_client_id,
            "client_secret": self.tenant.admin_client_secret,
            "scope": "https://outlook.office365.com/.default",
        }
        answer = self._post(f"{self.login}/{self.tenant.tenant_id}/oauth2/v2.0/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def run(self, cmdlet: str, **parameters: Any) -> httpx.Response:
        return self._post(
            f"{self.outlook}/adminapi/beta/{self.tenant.tenant_id}/InvokeCommand",
            json={"CmdletInput": {"CmdletName": cmdlet, "Parameters": parameters}},
            headers={"Authorization": f"Bearer {self.token()}"},
        )

    def _post(self, url: str, **kwargs: Any) -> httpx.Response:
        """A request to a public name goes to the local port, with the name in TLS and in the Host header."""
        if not self.port:
            return self.http.post(url, **kwargs)
        parts = httpx.URL(url)
        headers = {**kwargs.pop("headers", {}), "Host": parts.host}
        request = self.http.build_request(
            "POST",
            parts.copy_with(host="127.0.0.1", port=self.port),
            headers=headers,
            extensions={"sni_hostname": parts.host},
            **kwargs,
        )
        return self.http.send(request)


@pytest.fixture
def client(sandbox: Sandbox, tenant: Tenant) -> Iterator[Client]:
    made = Client(sandbox, tenant)
    yield made
    made.http.close()
    sandbox.clear_faults()


def test_people_in_any_state_are_made_and_seen_by_cmdlets(sandbox: Sandbox, client: Client) -> None:
    carl, box, team = sandbox.new_people(
        client.tenant,
        {"alias": "carl", "smtpAuth": "on", "mfa": "registered", "appPassword": True},
        {"alias": "box", "mailbox": "shared", "smtpAuth": "off"},
        {"alias": "team", "mailbox": "group", "members": [f"carl@{client.tenant.domain}"]},
    )
    rows = {row["Guid"]: row for row in client.run("Get-CASMailbox").json()["value"]}
    assert rows[carl.mailbox_id]["SmtpClientAuthenticationDisabled"] is False
    assert rows[box.mailbox_id]["SmtpClientAuthenticationDisabled"] is True
    assert team.mailbox_id is None
    assert carl.password not in repr(carl)
    assert carl.app_password is not None
    assert len(carl.app_password) == 16
    assert carl.app_password not in repr(carl)


def resident_kib(sandbox: Sandbox) -> int:
    """The server's memory."""
    return int(Path(f"/proc/{sandbox.pid}/status").read_text().split("VmRSS:")[1].split()[0])


def test_ten_thousand_people_stay_small(sandbox: Sandbox, client: Client) -> None:
    before = resident_kib(sandbox)
    made = sandbox.new_people(client.tenant.domain, {"alias": "m", "count": 10_000, "smtpAuth": "off"})
    assert len({person.user_principal_name for person in made}) == 10_000
    assert resident_kib(sandbox) - before < 80 * 1024
    first = client.run("Get-CASMailbox", ResultSize="Unlimited").json()
    assert len(first["value"]) == 1000
    assert first["@odata.nextLink"].startswith(f"{sandbox.base_url}/adminapi/beta/")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"people": [{"mailbx": "user"}]}, "people have no 'mailbx'"),
        ({}, "people are made by a list"),
        ({"people": [], "count": 3}, "people are made by a list"),
        ({"people": {"count": 3}}, "people are made by a list"),
    ],
)
def test_a_wrong_request_for_people_is_refused(sandbox: Sandbox, tenant: Tenant, body: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        sandbox.control.ask("POST", f"tenants/{tenant.tenant_id}/people", body)
    with pytest.raises(Refused, match="there is no tenant nowhere"):
        sandbox.control.ask("POST", "tenants/nowhere/people", {"count": 1})


def test_one_entry_alone_makes_people_too(sandbox: Sandbox, tenant: Tenant) -> None:
    assert len(sandbox.control.ask("POST", f"tenants/{tenant.tenant_id}/people", {"count": 3})) == 3


def test_the_stage_of_basic_smtp_is_set_for_one_tenant(sandbox: Sandbox, tenant: Tenant) -> None:
    assert sandbox.set_mail(tenant, basicSmtpStage="off_by_default", basicSmtpReenabled=True) == {
        "basicSmtpStage": "off_by_default",
        "basicSmtpReenabled": True,
        "stage": "off_by_default",
    }
    with pytest.raises(Refused, match="basicSmtpStage is null or one of available"):
        sandbox.set_mail(tenant, basicSmtpStage="soon")
    assert sandbox.set_mail(sandbox.new_tenant())["basicSmtpStage"] is None


def test_throttling_is_429_with_a_time_to_wait_and_the_log_names_the_cmdlet(sandbox: Sandbox, client: Client) -> None:
    since = len(sandbox.log())
    last = sandbox.log()[-1]["n"] if since else 0
    rule = {"action": "status", "status": 429, "retry_after": 7, "count": 1, "match": {"path": "/InvokeCommand"}}
    sandbox.set_faults([rule])
    refused = client.run("Get-TransportConfig")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert client.run("Get-TransportConfig").status_code == 200
    lines = [row for row in sandbox.log(last) if "/adminapi/" in row["path"]]
    assert [row["status"] for row in lines] == [429, 200]
    assert lines[1]["path"].endswith("/InvokeCommand Get-TransportConfig")
    assert lines[1]["tenant"] == client.tenant.tenant_id


def test_exchanges_public_names_are_answered_by_host(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "public", public_names=True) as sandbox:
        port = httpx.URL(sandbox.base_url).port or 443
        for host in ("https://outlook.office365.com", "https://outlook.office.com"):
            login = "https://login.microsoftonline.com"
            client = Client(sandbox, sandbox.first, login=login, outlook=host, port=port)
            answer = client.run("Get-TransportConfig")
            assert answer.status_code == 200, answer.text
            assert answer.json()["@odata.context"].startswith(f"{host}/adminapi/beta/")
        wrong = Client(sandbox, sandbox.first, login=login, outlook="https://graph.microsoft.com", port=port)
        assert wrong.run("Get-TransportConfig").status_code == 404
