"""A journal in Azure Blob Storage or S3: every sign-in that Pulumi takes, what the store refuses, and a lost answer."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
import pytest
from stores import ACCOUNT, KEY, S3, Azurite

from provision.errors import InvalidInput, NotPermitted, SignInFailed, StateUnavailable, Unreachable
from provision.journal import Conflict, open_store

NAME = "tenant/client"
WRONG_KEY = "d3Jvbmcga2V5IG9mIG5vYm9keSBhdCBhbGw="


def azblob(server: Azurite, container: str, path: str = "", **query: str) -> str:
    return f"azblob://{container}{path}?{urlencode({**server.where, **query})}"


def test_every_sign_in_of_azure_storage_leads_to_the_same_journal(azurite: Azurite) -> None:
    container = azurite.container()
    url = azblob(azurite, container)
    version = open_store(url, azurite.environ).write(NAME, {"step": 1}, expected=None)
    signature = azurite.signature(container)
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azurite.url}/{ACCOUNT};"
    )
    for address, environ in (
        (url, {"AZURE_STORAGE_SAS_TOKEN": signature}),
        (url, {"AZURE_STORAGE_SAS_TOKEN": f"?{signature}"}),
        (f"azblob://{container}", {"AZURE_STORAGE_CONNECTION_STRING": connection}),
        (
            f"azblob://{container}",
            {
                **azurite.environ,
                "AZURE_STORAGE_DOMAIN": urlsplit(azurite.url).netloc,
                "AZURE_STORAGE_PROTOCOL": "http",
                "AZURE_STORAGE_IS_LOCAL_EMULATOR": "true",
            },
        ),
    ):
        store = open_store(address, environ)
        found = store.read(NAME)
        assert found is not None
        assert found.version == version
        version = store.write(NAME, {"step": 2}, expected=version)
        assert store.keys() == [NAME]
        assert not any(word in store.shown for word in (KEY, "sig="))


def test_azures_own_sign_in_needs_no_key(azurite_tls: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the machine's managed identity, as App Service's endpoint gives it out; over TLS."""
    container = azurite_tls.container()
    monkeypatch.setenv("SSL_CERT_FILE", str(azurite_tls.authority))
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with identity_endpoint() as (endpoint, asked):
        monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", "of this machine")
        store = open_store(azblob(azurite_tls, container), {})
        version = store.write(NAME, {"step": 1}, expected=None)
        store.write(NAME, {"step": 2}, expected=version)
        assert asked == ["https://storage.azure.com"]

    monkeypatch.delenv("SSL_CERT_FILE")
    stranger = open_store(azblob(azurite_tls, container), azurite_tls.environ)
    with pytest.raises(Unreachable, match="TLS certificate is not trusted"):
        stranger.read(NAME)


def test_no_sign_in_at_all_is_a_failed_sign_in(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Azure's own order of sign-ins finds nothing: no variables, no endpoint of an identity, no program on PATH."""
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    with pytest.raises(SignInFailed, match="fails") as refused:
        open_store(azblob(azurite, azurite.container()), {}).read(NAME)
    assert "az login" in refused.value.remedy


@pytest.mark.parametrize(
    "environ",
    [
        {"AZURE_STORAGE_KEY": WRONG_KEY},
        {"AZURE_STORAGE_KEY": "no base64 at all"},
        {"AZURE_STORAGE_SAS_TOKEN": "sv=2021-08-06&sr=c&sp=rcwl&se=2099-01-01T00:00:00Z&sig=d3Jvbmc%3D"},
    ],
)
def test_a_wrong_key_is_a_failed_sign_in(azurite: Azurite, environ: dict[str, str]) -> None:
    store = open_store(azblob(azurite, azurite.container()), environ)
    for attempt in (
        lambda: store.read(NAME),
        lambda: store.write(NAME, {}, expected=None),
        lambda: store.write(NAME, {}, expected='["e", null]'),
        store.keys,
    ):
        with pytest.raises(SignInFailed) as refused:
            attempt()
        assert "AZURE_STORAGE_KEY" in refused.value.remedy
        assert not any(secret in str(refused.value) for secret in (WRONG_KEY, "no base64", "d3Jvbmc"))


def test_a_signature_without_the_right_to_write_is_not_permitted(azurite: Azurite) -> None:
    container = azurite.container()
    reader = {"AZURE_STORAGE_SAS_TOKEN": azurite.signature(container, "rl")}
    store = open_store(azblob(azurite, container), reader)
    assert store.read(NAME) is None
    with pytest.raises(NotPermitted) as refused:
        store.write(NAME, {}, expected=None)
    assert "Storage Blob Data Contributor" in refused.value.remedy


def test_a_container_or_bucket_that_is_not_there_is_named(azurite: Azurite, s3: S3) -> None:
    for store in (
        open_store(azblob(azurite, "nosuch"), azurite.environ),
        s3.place("nosuch").open(),
    ):
        for attempt in (
            lambda store=store: store.read(NAME),
            lambda store=store: store.write(NAME, {}, expected=None),
            lambda store=store: store.write(NAME, {}, expected='["e", null]'),
            store.keys,
        ):
            with pytest.raises(StateUnavailable, match=r"nosuch.* is not there") as refused:
                attempt()
            assert refused.value.remedy


def test_a_store_that_does_not_answer_is_unreachable(azurite: Azurite, s3: S3) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for store in (
            open_store(azblob(azurite, "box", domain=f"127.0.0.1:{port}"), azurite.environ),
            s3.place("box", endpoint=f"http://127.0.0.1:{port}").open(),
        ):
            with pytest.raises(Unreachable, match="does not answer: no connection"):
                store.read(NAME)


def test_something_else_that_answers_is_not_taken_for_a_store(azurite: Azurite) -> None:
    """A web server that knows nothing: reading finds nothing there, but writing does not go round in circles."""
    with answering(404, b"not here") as port:
        store = open_store(azblob(azurite, "box", domain=f"127.0.0.1:{port}"), azurite.environ)
        with pytest.raises(StateUnavailable, match="HTTP 404"):
            store.write(NAME, {}, expected=None)
    with answering(400, b"<Error><Code>InvalidHeaderValue</Code></Error>") as port:
        store = open_store(azblob(azurite, "box", domain=f"127.0.0.1:{port}"), azurite.environ)
        with pytest.raises(StateUnavailable, match="HTTP 400, InvalidHeaderValue"):
            store.read(NAME)


def test_the_path_and_the_prefix_of_the_url_are_honoured(azurite: Azurite, s3: S3) -> None:
    """Names as Go CDK puts them together: the prefix as it stands, then the path as a folder."""
    bucket = s3.bucket()
    for path, prefix in (("", ""), ("/customers/a", ""), ("/a/", "x-"), ("", "deep/"), ("/with%20space", "")):
        s3.place(bucket, path, **({"prefix": prefix} if prefix else {})).open().write(
            NAME, {"path": path}, expected=None
        )
    listed = s3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert [found["Key"] for found in listed] == [
        f"{start}provision-journal/tenant/client.json" for start in ("customers/a/", "deep/", "", "with space/", "x-a/")
    ]
    assert s3.place(bucket).open().keys() == [NAME]

    container = azurite.container()
    deep = open_store(azblob(azurite, container, "/customers/a"), azurite.environ)
    deep.write(NAME, {}, expected=None)
    assert deep.keys() == [NAME]
    assert open_store(azblob(azurite, container), azurite.environ).read(NAME) is None
    assert f"azblob://{container}/customers/a/provision-journal" in deep.shown


def test_a_removed_journal_leaves_an_empty_object(s3: S3) -> None:
    """Deleting knows no condition in these stores."""
    bucket = s3.bucket()
    store = s3.place(bucket).open()
    store.remove(NAME, expected=store.write(NAME, {"step": 1}, expected=None))
    (left,) = s3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert left["Size"] == 0


def test_a_damaged_journal_is_named(s3: S3) -> None:
    bucket = s3.bucket()
    store = s3.place(bucket).open()
    store.write(NAME, {}, expected=None)
    s3.client("s3").put_object(Bucket=bucket, Key="provision-journal/tenant/client.json", Body=b'{"mark":')
    with pytest.raises(StateUnavailable, match=r"tenant/client in s3://.* is damaged"):
        store.read(NAME)


def test_a_write_whose_answer_is_lost_is_known_again(azurite: Azurite, s3: S3) -> None:
    """The first answer to each write is cut off after the store has acted; the request then goes out again."""
    container, bucket = azurite.container(), s3.bucket()
    with losing_answers(azurite.url) as (blobs, lost_blobs), losing_answers(s3.url) as (objects, lost_objects):
        for store, lost in (
            (open_store(azblob(azurite, container, domain=urlsplit(blobs).netloc), azurite.environ), lost_blobs),
            (s3.place(bucket, endpoint=objects).open(), lost_objects),
        ):
            version = None
            for step in range(3):
                lost.append("PUT")
                before = version
                version = store.write(NAME, {"step": step}, expected=version)
                found = store.read(NAME)
                assert found is not None
                assert (found.document, found.version) == ({"step": step}, version)
                assert version != before
            assert not lost, "no answer was lost: this proves nothing"
            with pytest.raises(Conflict):
                store.write(NAME, {"step": 9}, expected=None)


def test_every_sign_in_of_s3_leads_to_the_same_journal(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, a profile of Amazon's own files, and a role taken on through its token service."""
    bucket = s3.bucket()
    identity = s3.client("iam")
    with checked_by(s3):
        key = made_user(identity, "runner", "s3:*", "sts:AssumeRole")
        identity.create_role(RoleName="journal", AssumeRolePolicyDocument=policy("sts:AssumeRole"))
        identity.put_role_policy(RoleName="journal", PolicyName="all", PolicyDocument=policy("s3:*"))
    files = tmp_path / "credentials"
    files.write_text(
        f"[customer]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    profile = {"AWS_SHARED_CREDENTIALS_FILE": str(files)}
    version = None
    with checked_by(s3, signatures=True):
        for environ, query in (
            (keys, {}),
            (profile, {"profile": "customer"}),
            (profile, {"profile": "customer", "role": "arn:aws:iam::123456789012:role/journal"}),
        ):
            version = s3.place(bucket, "", environ, **query).open().write(NAME, {"by": str(query)}, expected=version)
    with pytest.raises(InvalidInput, match="nobody"):
        s3.place(bucket, "", profile, profile="nobody").open()


def test_wrong_keys_and_missing_rights_of_s3_are_told_apart(s3: S3) -> None:
    bucket = s3.bucket()
    with checked_by(s3):
        guest = made_user(s3.client("iam"), "guest")
    with checked_by(s3, signatures=True):
        for key, secret, error, code in (
            ("AKIANOSUCHKEY", "anything", SignInFailed, "InvalidAccessKeyId"),
            (guest["AccessKeyId"], "not the secret", SignInFailed, "SignatureDoesNotMatch"),
            (guest["AccessKeyId"], guest["SecretAccessKey"], NotPermitted, "AccessDenied"),
        ):
            environ = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
            store = s3.place(bucket, "", environ).open()
            with pytest.raises(error, match=code) as refused:
                store.write(NAME, {}, expected=None)
            assert secret not in str(refused.value)
            with pytest.raises(error, match=code):
                store.read(NAME)


def test_the_older_words_of_pulumis_s3_urls_are_taken(s3: S3) -> None:
    bucket = s3.bucket()
    place = s3.place(bucket, endpoint=urlsplit(s3.url).netloc, disableSSL="true", awssdk="v2")
    place.open().write(NAME, {}, expected=None)
    assert s3.place(bucket, hostname_immutable="true").open().keys() == [NAME]


@pytest.mark.parametrize(
    ("url", "environ", "said"),
    [
        ("azblob://box", {}, "no storage account"),
        ("azblob://?storage_account=a", {}, "names no container or bucket"),
        ("s3:///path", {}, "names no container or bucket"),
        (
            "azblob://box?storage_account=a&storage_acount=b",
            {"AZURE_STORAGE_KEY": KEY},
            "'storage_acount', which is not",
        ),
        ("azblob://box?storage_account=a&localemu=maybe", {"AZURE_STORAGE_KEY": KEY}, "neither true nor false"),
        ("s3://box?fips=true", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "'fips', which is not known"),
        ("s3://box?ssetype=rot13", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "cannot be understood"),
        ("gs://box", {"GOOGLE_CREDENTIALS": "{}"}, "cannot be understood"),
    ],
)
def test_a_url_that_cannot_be_honoured_is_refused(url: str, environ: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        open_store(url, environ)
    assert refused.value.remedy


@contextmanager
def identity_endpoint() -> Iterator[tuple[str, list[str]]]:
    """The managed identity's endpoint of App Service (Microsoft: "Use managed identities for App Service", REST)."""
    asked: list[str] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = httpx.URL(self.path).params
            if self.headers["X-IDENTITY-HEADER"] != "of this machine" or query["api-version"] != "2019-08-01":
                self.send_error(400)
                return
            asked.append(query["resource"])
            now = int(time.time())
            claims = {"aud": query["resource"], "iss": "https://sts.windows.net/0f3d1f5c-9c3f-4c61-9a55-7f5f6a1d2b10/"}
            token = jwt.encode({**claims, "iat": now, "nbf": now, "exp": now + 3600}, "k" * 32)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            said = {"access_token": token, "expires_on": str(now + 3600), "resource": query["resource"]}
            self.wfile.write(json.dumps({**said, "token_type": "Bearer"}).encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Endpoint)) as port:
        yield f"http://127.0.0.1:{port}/msi/token", asked


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A web server with one answer to everything."""

    class Always(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET

        def log_message(self, *_arguments: object) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Always)) as port:
        yield port


@contextmanager
def serving(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def losing_answers(url: str) -> Iterator[tuple[str, list[str]]]:
    """A way to a server on which the answer to a request gets lost: to the next one of each method in the list."""
    parts = urlsplit(url)
    to_lose: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(client: socket.socket) -> None:
        with client, socket.create_connection((parts.hostname, parts.port)) as server:
            client.settimeout(20)
            request = _whole(client)
            if not request:
                return
            head, _, rest = request.partition(b"\r\n\r\n")
            server.sendall(head + b"\r\nConnection: close\r\n\r\n" + rest)
            answer = b""
            while piece := server.recv(65536):
                answer += piece
            if (method := request.split()[0].decode()) in to_lose:
                to_lose.remove(method)
            else:
                head, _, rest = answer.partition(b"\r\n\r\n")
                client.sendall(head + b"\r\nConnection: close\r\n\r\n" + rest)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(client,)).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", to_lose
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _whole(client: socket.socket) -> bytes:
    """One request, head and body."""
    request = b""
    while b"\r\n\r\n" not in request:
        if not (piece := client.recv(65536)):
            return b""
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0:
        piece = client.recv(65536)
        request += piece
        missing -= len(piece)
    return request


@contextmanager
def checked_by(s3: S3, *, signatures: bool = False) -> Iterator[None]:
    """Lets the S3 check signatures and rights, or not (moto's documentation, "IAM-like Access Control")."""
    httpx.post(f"{s3.url}/moto-api/reset-auth", content="0" if signatures else "inf").raise_for_status()
    try:
        yield
    finally:
        httpx.post(f"{s3.url}/moto-api/reset-auth", content="inf").raise_for_status()


def policy(*actions: str) -> str:
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def made_user(identity, name: str, *actions: str) -> dict[str, str]:
    """A user with a key; returns the key."""
    identity.create_user(UserName=name)
    if actions:
        identity.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=policy(*actions))
    return identity.create_access_key(UserName=name)["AccessKey"]
