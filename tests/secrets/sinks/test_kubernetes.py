"""A key of a Kubernetes Secret, on a real API server with its role-based access control and admission."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_server import ApiServer
from desk import Desk, certificates_arrive

from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, SignInFailed, Unreachable
from provision.sandbox import Sandbox
from provision.secrets.sinks import Delivery, Sink, kubernetes, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
ENCODED = base64.b64encode(VALUE.encode()).decode()


def delivery(value: str = VALUE, key_id: str = "k-1") -> Delivery:
    return Delivery("tenant-1", "client-1", key_id, datetime(2028, 1, 1, tzinfo=UTC), value)


@dataclass
class Cluster(ApiServer):
    """A namespace of the running API server, seen by its administrator."""

    namespace: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def secret(self, name: str = "mail") -> dict[str, Any]:
        return self.ask("GET", f"/api/v1/namespaces/{self.namespace}/secrets/{name}")

    def make(self, text: dict[str, str], **more: Any) -> None:
        body = {"metadata": {"name": "mail"}, "stringData": text, **more}
        self.ask("POST", f"/api/v1/namespaces/{self.namespace}/secrets", body)

    def kubeconfig(self, *, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, str]:
        """An environment whose KUBECONFIG has one context."""
        server = {"server": str(self.http.base_url).rstrip("/"), "certificate-authority": str(self.ca_file), **cluster}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": server}],
            "users": [{"name": "me", "user": user or {"token": "admin-token"}}],
        }
        file = self.directory / f"kubeconfig-{time.monotonic_ns()}"
        file.write_text(yaml.safe_dump(config))
        file.chmod(0o600)
        return {"KUBECONFIG": str(file), "HOME": str(self.directory)}

    def sink(self, key: str = "client-secret", environ: dict[str, str] | None = None) -> Sink:
        return open_sink(f"kubernetes:{self.namespace}/mail#{key}", environ or self.environ)

    def grant(self, role: dict[str, Any]) -> dict[str, str]:
        """An environment in which somebody signs in who has this role in the namespace, and nothing else."""
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        self.ask("POST", f"{rbac}/roles", role)
        binding = {
            "metadata": {"name": role["metadata"]["name"]},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tested"}],
        }
        self.ask("POST", f"{rbac}/rolebindings", binding)
        return self.kubeconfig(user={"token": "tested-token"})


def role(*verbs: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mail"], "verbs": list(verbs)}
    return {"metadata": {"name": "tested"}, "rules": [rule]}


@pytest.fixture
def cluster(api_server: ApiServer) -> Cluster:
    """A namespace of its own for each test."""
    namespace = f"tms-{time.monotonic_ns()}"
    own = Cluster(api_server.http, api_server.directory, api_server.ca_file, namespace)
    own.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    own.environ = own.kubeconfig()
    return own


def test_a_secret_is_made_and_its_key_set_again(cluster: Cluster) -> None:
    sink = cluster.sink()
    sink.check()
    assert sink.stored() is None
    with pytest.raises(AssertionError, match="NotFound"):
        cluster.secret()
    sink.write(delivery())
    made = cluster.secret()
    assert (made["type"], made["data"]) == ("Opaque", {"client-secret": ENCODED})
    assert made["metadata"]["annotations"] == {"provision/key-id.client-secret": "k-1"}
    first = sink.stored() or pytest.fail()
    assert (first.value, first.key_id, first.changed) == (VALUE, "k-1", made["metadata"]["resourceVersion"])
    sink.check()
    sink.write(delivery("b" * 40, "k-2"))
    second = sink.stored() or pytest.fail()
    assert (second.value, second.key_id) == ("b" * 40, "k-2")
    assert second.changed != first.changed
    assert sink.address == f"kubernetes:{cluster.namespace}/mail#client-secret"


@pytest.mark.parametrize("kind", ["certificate"])
def test_a_certificate_is_a_key_that_a_pod_mounts_as_a_file(desk: Desk, cluster: Cluster) -> None:
    sink = open_sink(f"kubernetes:{cluster.namespace}/mail#mail.pem", cluster.environ, kind="certificate")

    def mounted() -> str:
        return base64.b64decode(cluster.secret()["data"]["mail.pem"]).decode()

    certificates_arrive(desk, sink, mounted)
    made = cluster.secret()
    (row,) = desk.rows()
    assert made["type"] == "Opaque", "key and certificate are one file, not the two of kubernetes.io/tls"
    assert made["metadata"]["annotations"] == {"provision/key-id.mail.pem": row["keyId"]}
    assert "PRIVATE KEY" not in json.dumps(made["metadata"])


def test_the_same_again_changes_nothing(cluster: Cluster) -> None:
    sink = cluster.sink()
    sink.write(delivery())
    before = cluster.secret()
    sink.write(delivery())
    assert cluster.secret() == before


def test_what_others_put_there_stays(cluster: Cluster) -> None:
    cluster.make({"user": "tms", "client-secret": "typed by hand"}, immutable=False)
    metadata = {"metadata": {"labels": {"app": "tms"}, "annotations": {"note": "ours"}}}
    cluster.http.patch(
        f"/api/v1/namespaces/{cluster.namespace}/secrets/mail",
        content=json.dumps(metadata),
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    sink = cluster.sink()
    before = sink.stored() or pytest.fail()
    assert (before.value, before.key_id) == ("typed by hand", None)
    sink.check()
    assert (sink.stored() or pytest.fail()).value == "typed by hand"
    sink.write(delivery())
    sink.write(delivery("b" * 40, "k-2"))
    after = cluster.secret()
    assert base64.b64decode(after["data"]["user"]) == b"tms"
    assert base64.b64decode(after["data"]["client-secret"]) == b"b" * 40
    assert after["metadata"]["labels"] == {"app": "tms"}
    assert after["metadata"]["annotations"] == {"note": "ours", "provision/key-id.client-secret": "k-2"}
    sink.remove()
    left = cluster.secret()
    assert list(left["data"]) == ["user"]
    assert left["metadata"]["annotations"] == {"note": "ours"}
    assert sink.stored() is None
    sink.remove()


def test_keys_of_one_secret_do_not_take_each_other_away(cluster: Cluster) -> None:
    """Four sinks make the same Secret at once; each is a field manager of its own."""
    names = ["a", "b", "c", "d"]
    threads = [threading.Thread(target=cluster.sink(name).write, args=(delivery(name * 40, name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        stored = cluster.sink(name).stored() or pytest.fail()
        assert (stored.value, stored.key_id) == (name * 40, name)
    cluster.sink("a").remove()
    assert sorted(cluster.secret()["data"]) == ["b", "c", "d"]


def test_bytes_that_are_no_text_are_no_value(cluster: Cluster) -> None:
    cluster.make({}, data={"client-secret": base64.b64encode(b"\xff\xfe").decode()})
    assert (cluster.sink().stored() or pytest.fail()).value is None


def test_the_role_that_is_named_is_enough_and_bound_to_one_secret(cluster: Cluster) -> None:
    """The Role of RIGHTS, as printed, for a user who has nothing else."""
    printed = kubernetes.RIGHTS.partition("\n")[2]
    wanted = yaml.safe_load(printed.replace("NAMESPACE", cluster.namespace).replace("NAME", "mail"))
    environ = cluster.grant(wanted)
    sink = cluster.sink(environ=environ)
    for value in (VALUE, "b" * 40):
        sink.check()
        sink.write(delivery(value))
        assert (sink.stored() or pytest.fail()).value == value
    sink.remove()
    assert sink.stored() is None
    with pytest.raises(NotPermitted):
        open_sink(f"kubernetes:{cluster.namespace}/other#x", environ).write(delivery())


def test_the_dry_run_finds_a_missing_right_and_prints_the_role(cluster: Cluster) -> None:
    environ = cluster.grant(role("get"))
    with pytest.raises(NotPermitted, match=f"refuses to write the Secret {cluster.namespace}/mail") as caught:
        cluster.sink(environ=environ).check()
    assert yaml.safe_load(caught.value.remedy.partition("\n")[2])["rules"][0]["resourceNames"] == ["mail"]
    with pytest.raises(NotPermitted, match="refuses to read"):
        open_sink("kubernetes:default/mail#x", environ).check()


def test_without_create_a_secret_must_be_there(cluster: Cluster) -> None:
    sink = cluster.sink(environ=cluster.grant(role("get", "patch")))
    with pytest.raises(NotPermitted):
        sink.check()
    cluster.make({})
    sink.check()
    sink.write(delivery())


def test_an_admission_policy_is_named(cluster: Cluster) -> None:
    """A ValidatingAdmissionPolicy whose message quotes the value, which nobody must repeat."""
    policy = f"no-secrets-{cluster.namespace}"
    group = "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE", "UPDATE"]}
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}}}
    expression = {"expression": "false", "messageExpression": "'not ' + string(object.data['client-secret'])"}
    cluster.ask(
        "POST",
        f"{group}/validatingadmissionpolicies",
        {
            "metadata": {"name": policy},
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [expression]},
        },
    )
    cluster.ask(
        "POST",
        f"{group}/validatingadmissionpolicybindings",
        {
            "metadata": {"name": policy},
            "spec": {"policyName": policy, "validationActions": ["Deny"], "matchResources": selector},
        },
    )
    sink = cluster.sink()
    for _ in range(100):  # the server's own informers learn of a policy a moment later
        try:
            sink.check()
        except PolicyRefuses:
            break
        time.sleep(0.1)
    with pytest.raises(PolicyRefuses, match=f"the admission policy {policy} forbids it") as caught:
        sink.write(delivery())
    assert VALUE not in str(caught.value)
    assert ENCODED not in str(caught.value)


def test_an_immutable_secret_is_found_by_the_dry_run(cluster: Cluster) -> None:
    cluster.make({"client-secret": "old"}, immutable=True)
    with pytest.raises(InvalidInput, match="marked immutable"):
        cluster.sink().check()


def test_a_namespace_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(InvalidInput, match="no such namespace"):
        open_sink("kubernetes:nowhere/mail#x", cluster.environ).check()


def test_a_token_that_is_not_valid(cluster: Cluster) -> None:
    with pytest.raises(SignInFailed, match="does not accept the sign-in"):
        cluster.sink(environ=cluster.kubeconfig(user={"token": "none"})).check()


def program(cluster: Cluster, script: str) -> dict[str, Any]:
    """The user entry of a kubeconfig that signs in by a program."""
    file = cluster.directory / f"sign-in-{time.monotonic_ns()}.py"
    file.write_text(script)
    version = "client.authentication.k8s.io/v1"
    return {
        "exec": {
            "apiVersion": version,
            "command": sys.executable,
            "args": [str(file)],
            "interactiveMode": "Never",
            "provideClusterInfo": True,
        }
    }


def test_a_sign_in_program_is_run(cluster: Cluster) -> None:
    told = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "admin-token"},
    }
    cluster.sink(environ=cluster.kubeconfig(user=program(cluster, f"print({json.dumps(told)!r})"))).check()


@pytest.mark.parametrize("script", ["raise SystemExit('az login first')", "print('no json')"])
def test_a_sign_in_program_that_fails_is_one_sentence(
    cluster: Cluster, script: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SignInFailed, match="gives no token"):
        cluster.sink(environ=cluster.kubeconfig(user=program(cluster, script))).check()
    assert capfd.readouterr().err == ""


def test_a_pods_service_account_signs_in(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A real service account's token, as kubelet mounts it."""
    core = f"/api/v1/namespaces/{cluster.namespace}"
    cluster.ask("POST", f"{core}/serviceaccounts", {"metadata": {"name": "tms"}})
    token = cluster.ask("POST", f"{core}/serviceaccounts/tms/token", {"spec": {}})["status"]["token"]
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    monkeypatch.setattr(kubernetes, "_ACCOUNT", tmp_path)
    url = cluster.http.base_url
    environ = {"KUBERNETES_SERVICE_HOST": url.host, "KUBERNETES_SERVICE_PORT": str(url.port), "HOME": str(tmp_path)}
    with pytest.raises(NotPermitted):
        cluster.sink(environ=environ).check()
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}"
    cluster.ask("POST", f"{rbac}/roles", role("get", "patch", "create"))
    cluster.ask(
        "POST",
        f"{rbac}/rolebindings",
        {
            "metadata": {"name": "tested"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tested"},
            "subjects": [{"kind": "ServiceAccount", "name": "tms", "namespace": cluster.namespace}],
        },
    )
    cluster.sink(environ=environ).write(delivery())
    assert (cluster.sink().stored() or pytest.fail()).value == VALUE


def test_certificates_written_into_the_kubeconfig_are_understood(cluster: Cluster) -> None:
    text = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    environ = cluster.kubeconfig(**{"certificate-authority": None, "certificate-authority-data": text})
    cluster.sink(environ=environ).check()


def test_several_kubeconfigs_are_one(cluster: Cluster, tmp_path: Path) -> None:
    whole = yaml.safe_load(Path(cluster.environ["KUBECONFIG"]).read_text())
    files = []
    for part in ("users", "clusters", "contexts"):
        file = tmp_path / part
        file.write_text(yaml.safe_dump({part: whole[part], "current-context": "here"}))
        files.append(str(file))
    cluster.sink(environ={"KUBECONFIG": os.pathsep.join(files)}).check()


def test_a_server_whose_certificate_is_not_checked_is_refused(cluster: Cluster) -> None:
    for unsafe in ({"insecure-skip-tls-verify": True}, {"server": "http://cluster.example:8080"}):
        with pytest.raises(InvalidInput, match="certificate unchecked"):
            cluster.sink(environ=cluster.kubeconfig(**unsafe)).check()


def test_an_auth_provider_is_refused(cluster: Cluster) -> None:
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": "x.y.z"}}}
    with pytest.raises(InvalidInput, match="kubectl has given up"):
        cluster.sink(environ=cluster.kubeconfig(user=user)).check()


def test_a_certificate_that_is_not_trusted_ends_it(cluster: Cluster, sandbox: Sandbox) -> None:
    environ = cluster.kubeconfig(**{"certificate-authority": str(sandbox.ca_file)})
    with pytest.raises(Unreachable, match="is not trusted by the certificates in"):
        cluster.sink(environ=environ).check()


def test_a_cluster_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(Unreachable, match="connection is refused"):
        cluster.sink(environ=cluster.kubeconfig(server="https://127.0.0.1:1")).check()


def test_a_server_that_is_no_cluster(cluster: Cluster, sandbox: Sandbox) -> None:
    environ = cluster.kubeconfig(server=sandbox.base_url, **{"certificate-authority": str(sandbox.ca_file)})
    with pytest.raises(Unreachable, match="does not answer as a Kubernetes API server does"):
        cluster.sink(environ=environ).check()


@pytest.mark.parametrize("text", ["", "[]", "a: [", "current-context: here\nusers: [{name: x, user: {token: hush}}]\n"])
def test_a_kubeconfig_that_is_none_is_not_quoted(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=re.escape(f"The kubeconfig {file} cannot be used")) as caught:
        open_sink("kubernetes:tms/mail#x", {"KUBECONFIG": str(file)}).check()
    assert "hush" not in str(caught.value)


def test_without_a_kubeconfig_and_a_pod(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no kubeconfig"):
        open_sink("kubernetes:tms/mail#x", {"HOME": str(tmp_path)}).check()


def test_the_value_is_in_no_log_and_no_repr(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    sink = cluster.sink()
    sink.check()
    with caplog.at_level(logging.DEBUG):
        for name in ("kubernetes", "kubernetes.client.rest", "client", "urllib3"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.write(delivery())
        stored = sink.stored()
        with pytest.raises(SignInFailed):
            cluster.sink(environ=cluster.kubeconfig(user={"token": "none"})).write(delivery())
        sink.remove()
    assert "/secrets/mail" in caplog.text
    for hidden in (VALUE, ENCODED, "admin-token"):
        assert hidden not in caplog.text + repr((sink, stored))


@pytest.mark.parametrize(
    "rest", ["tms#x", "tms/mail", "tms/mail#", "Tms/mail#x", "tms/mail/more#x", "tms/mail#.x", f"tms/mail#{'x' * 56}"]
)
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput, match="not a namespace"):
        open_sink(f"kubernetes:{rest}", {})


def test_the_longest_key_has_an_annotation(cluster: Cluster) -> None:
    sink = cluster.sink("x" * 55)
    sink.write(delivery())
    assert (sink.stored() or pytest.fail()).key_id == "k-1"


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(InvalidInput) as caught:
        open_sink("kubernetes:tms/mail#x", {})
    assert caught.value.remedy == "pip install 'provision[kubernetes]'"
