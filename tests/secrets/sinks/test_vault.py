"""A field of a KV secret, on Vault itself: its core, KV engine and JWT method, over TLS."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from desk import Desk, certificates_arrive
from vault_server import ADDRESS, Server, started

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.sandbox import Sandbox
from provision.secrets.sinks import Delivery, Sink, open_sink
from provision.secrets.sinks.vault import RIGHTS

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
NOTHING = 'path "secret/data/other" { capabilities = ["read"] }'


def delivery(value: str = VALUE, key_id: str = "k-1") -> Delivery:
    return Delivery("tenant-1", "client-1", key_id, datetime(2028, 1, 1, tzinfo=UTC), value)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture
def vault(running: Server) -> Server:
    """The module's server without any secret in it."""
    running.admin.secrets.kv.v2.delete_metadata_and_all_versions("tms/mail", "secret")
    running.admin.secrets.kv.v1.delete_secret("tms/mail", "old/kv")
    return running


def test_a_secret_is_stored_beside_the_id_that_names_it(vault: Server) -> None:
    sink = vault.sink()
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    assert vault.fields("tms/mail") == {"client_secret": VALUE, "client_secret_key_id": "k-1"}
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id, stored.changed) == (VALUE, "k-1", "1")
    sink.check()
    sink.write(delivery("b" * 40, "k-2"))
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id, stored.changed) == ("b" * 40, "k-2", "2")
    assert sink.address == ADDRESS


@pytest.mark.parametrize("kind", ["certificate"])
@pytest.mark.parametrize("mount", ["secret", "old/kv"])
def test_a_certificate_is_a_field_with_line_breaks(desk: Desk, vault: Server, mount: str) -> None:
    sink = open_sink(f"vault:{mount}/tms/mail#certificate", vault.environ, kind="certificate")

    def fields() -> dict[str, object]:
        if mount == "secret":
            return vault.fields("tms/mail")
        return dict(vault.admin.secrets.kv.v1.read_secret("tms/mail", mount)["data"])

    certificates_arrive(desk, sink, lambda: str(fields()["certificate"]))
    (row,) = desk.rows()
    assert fields()["certificate_key_id"] == row["keyId"]


def test_the_same_again_makes_no_version(vault: Server) -> None:
    sink = vault.sink()
    sink.write(delivery())
    sink.write(delivery())
    assert (sink.stored() or pytest.fail()).changed == "1"


def test_other_fields_stay_as_they_are(vault: Server) -> None:
    others = {"user": "tms", "port": 587, "ratio": 0.5, "hosts": ["a", "b"]}
    vault.admin.secrets.kv.v2.create_or_update_secret("tms/mail", others, mount_point="secret")
    assert vault.fields("tms/mail") == others
    sink = vault.sink()
    sink.write(delivery())
    assert vault.fields("tms/mail") == {**others, "client_secret": VALUE, "client_secret_key_id": "k-1"}
    sink.remove()
    assert vault.fields("tms/mail") == others
    assert sink.stored() is None


def test_a_mount_of_several_parts_with_the_engine_of_version_1(vault: Server) -> None:
    vault.admin.secrets.kv.v1.create_or_update_secret("tms/mail", {"user": "tms"}, mount_point="old/kv")
    sink = vault.sink("vault:old/kv/tms/mail#client_secret")
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id, stored.changed) == (VALUE, "k-1", None)
    kept = vault.admin.secrets.kv.v1.read_secret("tms/mail", "old/kv")["data"]
    assert kept == {"user": "tms", "client_secret": VALUE, "client_secret_key_id": "k-1"}
    sink.remove()
    assert vault.admin.secrets.kv.v1.read_secret("tms/mail", "old/kv")["data"] == {"user": "tms"}


@pytest.mark.parametrize("address", [ADDRESS, "vault:old/kv/tms/mail#client_secret"])
def test_a_secret_without_other_fields_is_deleted_and_can_be_written_again(vault: Server, address: str) -> None:
    sink = vault.sink(address)
    sink.write(delivery())
    sink.remove()
    assert sink.stored() is None
    sink.remove()
    sink.check()
    sink.write(delivery("c" * 40, "k-3"))
    assert (sink.stored() or pytest.fail()).value == "c" * 40


def test_a_destroyed_version_does_not_stand_in_the_way(vault: Server) -> None:
    sink = vault.sink()
    sink.write(delivery())
    vault.admin.secrets.kv.v2.destroy_secret_versions("tms/mail", [1], "secret")
    assert sink.stored() is None
    sink.write(delivery())
    assert (sink.stored() or pytest.fail()).changed == "2"


def test_nobody_loses_a_field_when_several_write_at_once(vault: Server) -> None:
    failed: list[ProvisionError] = []

    def write(name: str) -> None:
        try:
            vault.sink(f"vault:secret/tms/mail#{name}").write(delivery(name * 40, name))
        except ProvisionError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {name: vault.fields("tms/mail").get(name) for name in "abcd"} == {name: name * 40 for name in "abcd"}


def test_a_version_that_appears_in_between_is_built_upon(vault: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes after the read and before the write: Vault refuses the old version, and theirs is kept."""
    sink = vault.sink()
    send = type(sink)._send  # type: ignore[attr-defined]

    def late(self: Sink, *args: object) -> None:
        monkeypatch.undo()
        vault.admin.secrets.kv.v2.create_or_update_secret("tms/mail", {"theirs": "x"}, mount_point="secret")
        send(self, *args)

    monkeypatch.setattr(type(sink), "_send", late)
    sink.write(delivery())
    assert vault.fields("tms/mail") == {"theirs": "x", "client_secret": VALUE, "client_secret_key_id": "k-1"}


def test_the_rights_that_are_named_are_enough(vault: Server) -> None:
    """The policy of RIGHTS, as printed, on a token that has nothing else, not even Vault's default policy."""
    rules = RIGHTS.removeprefix("A policy with ").partition(" (version 1")[0]
    assert rules.startswith("path ")
    policy = rules.replace("MOUNT/data/PATH", "secret/data/tms/mail")
    for default in (False, True):
        sink = vault.sink(VAULT_TOKEN=vault.token(policy, default=default))
        for value in ("d" * 40, "e" * 40):
            sink.check()
            sink.write(delivery(value))
            assert (sink.stored() or pytest.fail()).value == value
    with pytest.raises(NotPermitted, match="refuses to delete secret/tms/mail"):
        sink.remove()
    with_delete = policy.replace('"read"', '"delete", "read"')
    vault.sink(VAULT_TOKEN=vault.token(with_delete)).remove()
    assert sink.stored() is None


def test_the_dry_run_names_the_right_that_is_missing(vault: Server) -> None:
    token = vault.token('path "secret/data/tms/mail" { capabilities = ["read", "create"] }')
    sink = vault.sink(VAULT_TOKEN=token)
    sink.check()
    sink.write(delivery())
    with pytest.raises(NotPermitted, match="may not update secret/data/tms/mail") as caught:
        sink.check()
    assert caught.value.remedy == RIGHTS
    with pytest.raises(NotPermitted, match="refuses to write"):
        sink.write(delivery("b" * 40))


def test_a_token_without_any_right_is_told_apart_from_one_that_is_not_valid(vault: Server) -> None:
    with pytest.raises(NotPermitted, match="policies do not allow it"):
        vault.sink(VAULT_TOKEN=vault.token(NOTHING)).check()
    with pytest.raises(SignInFailed, match="not valid or has expired"):
        vault.sink(VAULT_TOKEN="hvs.none").check()


def test_the_token_of_the_command_lines_own_sign_in_is_found(vault: Server, tmp_path: Path) -> None:
    without = {**vault.environ, "HOME": str(tmp_path), "VAULT_TOKEN": ""}
    with pytest.raises(SignInFailed, match="no sign-in to Vault"):
        open_sink(ADDRESS, without).check()
    (tmp_path / ".vault-token").write_text(f"{vault.environ['VAULT_TOKEN']}\n")
    open_sink(ADDRESS, without).check()


def test_openbaos_names_are_understood(vault: Server) -> None:
    environ = {name.replace("VAULT_", "BAO_"): value for name, value in vault.environ.items()}
    open_sink(ADDRESS, environ).check()


def test_a_pipelines_token_signs_in(vault: Server, sandbox: Sandbox) -> None:
    """GitLab's issuer as the local tenant plays it; Vault fetches its keys, and checks audience and subject."""
    vault.admin.sys.enable_auth_method("jwt", path="gitlab")
    vault.admin.auth.jwt.configure(
        oidc_discovery_url=f"{sandbox.base_url}/_oidc/gitlab",
        oidc_discovery_ca_pem=sandbox.ca_file.read_text(),
        path="gitlab",
    )
    vault.token('path "secret/data/tms/mail" { capabilities = ["create", "read", "update"] }')
    vault.admin.auth.jwt.create_role(
        name="mail",
        role_type="jwt",
        user_claim="sub",
        allowed_redirect_uris=[],
        bound_audiences=["api://AzureADTokenExchange"],
        bound_subject="project_path:contoso/mail",
        token_policies=["tested"],
        path="gitlab",
    )
    pipeline = {
        "VAULT_TOKEN": "",
        "VAULT_ROLE": "mail",
        "VAULT_AUTH_PATH": "gitlab",
        "VAULT_JWT": sandbox.ci_token("gitlab", "project_path:contoso/mail"),
    }
    sink = vault.sink(**pipeline)
    sink.check()
    sink.write(delivery())
    assert (sink.stored() or pytest.fail()).value == VALUE
    for wrong in (
        {"VAULT_ROLE": "none"},
        {"VAULT_AUTH_PATH": "nowhere"},
        {"VAULT_JWT": sandbox.ci_token("gitlab", "project_path:contoso/other")},
    ):
        with pytest.raises(SignInFailed, match="does not accept the pipeline's token") as caught:
            vault.sink(**pipeline | wrong).check()
        assert pipeline["VAULT_JWT"] not in str(caught.value)


@pytest.mark.parametrize("path", ["cubbyhole/mail", "sys/mail"])
def test_an_engine_that_keeps_no_pairs_is_refused(vault: Server, path: str) -> None:
    with pytest.raises(InvalidInput, match="not in a KV engine"):
        vault.sink(f"vault:{path}#client_secret").check()


def test_a_mount_that_is_not_there(vault: Server) -> None:
    with pytest.raises(NotPermitted, match="refuses to find the engine of nowhere/mail"):
        vault.sink("vault:nowhere/mail#client_secret").check()


def test_a_sealed_vault_is_said_to_be_sealed(tmp_path: Path) -> None:
    with started(tmp_path) as vault:
        vault.admin.sys.seal()
        with pytest.raises(Unreachable, match="is sealed"):
            vault.sink().check()


def test_a_certificate_that_is_not_trusted_ends_it(vault: Server, sandbox: Sandbox) -> None:
    with pytest.raises(Unreachable, match="is not trusted by the certificates in"):
        vault.sink(VAULT_CACERT=str(sandbox.ca_file)).check()


def test_a_vault_that_is_not_there(vault: Server) -> None:
    with pytest.raises(Unreachable, match="connection is refused"):
        vault.sink(VAULT_ADDR="https://127.0.0.1:1").check()


def test_the_value_is_in_no_log_and_no_repr(vault: Server, caplog: pytest.LogCaptureFixture) -> None:
    sink = vault.sink()
    with caplog.at_level(logging.DEBUG):
        for name in ("hvac", "requests", "urllib3"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.check()
        sink.write(delivery())
        stored = sink.stored()
        with pytest.raises(NotPermitted):
            vault.sink(VAULT_TOKEN=vault.token(NOTHING)).write(delivery())
        sink.remove()
    assert "/v1/secret/data/tms/mail" in caplog.text
    assert VALUE not in caplog.text
    assert vault.environ["VAULT_TOKEN"] not in caplog.text + repr(sink)
    assert VALUE not in repr((sink, stored))


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], str]]:
    """An HTTP server on loopback that gives one answer to everything, as a proxy or another program would."""
    servers: list[HTTPServer] = []

    def start(status: int, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nothing goes to standard error."""

            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Location", "https://elsewhere.example/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (307, "", "sends its clients on to another address"),
        (200, "<html>", r"does not answer as Vault does \(HTTP 200\)"),
        (429, '{"errors": ["request path quota exceeded"]}', "overloaded"),
        (500, '{"errors": ["1 error occurred"]}', "overloaded or fails"),
        (501, '{"errors": ["Vault is not initialized"]}', "not initialized"),
        (502, "", "overloaded or fails"),
    ],
)
def test_an_answer_that_is_none(answering: Callable[[int, str], str], status: int, body: str, says: str) -> None:
    with pytest.raises(Unreachable, match=says):
        open_sink(ADDRESS, {"VAULT_ADDR": answering(status, body), "VAULT_TOKEN": "t"}).check()


@pytest.mark.parametrize(
    "rest",
    ["secret#x", "secret/mail", "secret/mail#", "/secret/mail#x", "secret//mail#x", "secret/../sys#x", "secret/a?b#x"],
)
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput, match="is not a path of Vault"):
        open_sink(f"vault:{rest}", {"VAULT_ADDR": "https://vault:8200"})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "does not say where Vault is"),
        ({"VAULT_ADDR": "http://vault.example:8200"}, "not an https address"),
        ({"VAULT_ADDR": "https://user:word@vault.example"}, "not an https address"),
        ({"VAULT_ADDR": "https://vault:8200", "VAULT_SKIP_VERIFY": "true"}, "VAULT_SKIP_VERIFY is set"),
    ],
)
def test_an_environment_that_is_not_safe_is_refused(environ: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        open_sink(ADDRESS, environ)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvac", None)
    with pytest.raises(InvalidInput) as caught:
        open_sink(ADDRESS, {"VAULT_ADDR": "https://vault:8200"})
    assert caught.value.remedy == "pip install 'provision[vault]'"
