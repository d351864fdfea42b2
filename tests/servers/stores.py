"""The real servers that state and journals are kept in, each started once by a process of tests: PostgreSQL, Azurite
and an S3.

A fresh place in each: ``in_postgres``, ``in_azurite``, ``in_s3``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest

from provision.engine.cache import cache_root
from provision.journal import Store, open_store
from provision.sandbox.tls import Certificates

AZURITE = Path(__file__).parent / "azurite"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's published account and key; its documentation, "Default Storage Account"."""
# One request after another: moto's check of a condition and its write are two steps, S3's are one.
S3_SERVER = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Place:
    """Where state and a journal can be kept: a URL and the variables of its sign-in."""

    url: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Store:
        """The journal there."""
        return open_store(self.url, self.environ)


@dataclass
class Postgres:
    """A server of its own in a temporary folder, run by somebody who is not root, on loopback."""

    folder: Path
    programs: Path
    port: int
    password: str = "correct:horse@battery/stäple"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data, log = self.folder / "data", (self.folder / "log").open("ab")
        options = ["-k", str(self.folder), "-h", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", data, *options], stderr=log, cwd=self.folder, **_somebody()
        )
        until = (
            time.monotonic() + 120
        )  # after a crash it first reads and flushes every file, on a busy machine for long
        while True:
            try:
                return self.admin().close()
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.05)

    def crash(self) -> None:
        """Ends every process of the server at once, without a checkpoint (``pg_ctl``'s mode "immediate")."""
        assert self.process is not None
        self.process.send_signal(3)
        self.process.wait(30)

    def admin(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="admin", password=self.password, dbname=database, autocommit=True
        )

    def database(self) -> str:
        """A new, empty database."""
        name = f"journal_{uuid4().hex}"
        with self.admin() as connection:
            connection.execute(f"create database {name}".encode())
        return name

    def url(self, database: str, *, user: str = "admin", password: str | None = None, **query: str) -> str:
        secret = quote(self.password if password is None else password, safe="")
        parameters = urlencode({"sslmode": "disable", **query}, quote_via=quote)
        return f"postgres://{user}:{secret}@127.0.0.1:{self.port}/{database}?{parameters}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3])).parent
    with tempfile.TemporaryDirectory(prefix="journal-postgres-") as folder:  # pytest's own are closed to other users
        server = Postgres(Path(folder), programs, _free_port())
        _make_database_files(server)
        try:
            server.start()
            yield server
        finally:
            server.crash()


def _make_database_files(server: Postgres) -> None:
    """An empty server with a password for its administrator, and a certificate for who turns TLS on."""
    folder = server.folder
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    (folder / "password").write_text(server.password, encoding="utf-8")
    (folder / "password").chmod(0o644)
    options = ["-D", folder / "data", "-U", "admin", "--pwfile", folder / "password", "--auth=scram-sha-256"]
    options += ["--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run(
        [server.programs / "initdb", *options], cwd=folder, stdout=subprocess.DEVNULL, check=True, **_somebody()
    )
    _certificates(folder)
    for name in ("server.pem", "server-key.pem"):
        copy = folder / "data" / name
        shutil.copy(folder / "tls" / name, copy)
        copy.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(copy, "nobody")
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write("ssl_cert_file = 'server.pem'\nssl_key_file = 'server-key.pem'\n")


@dataclass(frozen=True)
class Azurite:
    """Azure Blob Storage as Microsoft emulates it."""

    url: str
    authority: Path | None = None

    @property
    def where(self) -> dict[str, str]:
        parts = urlsplit(self.url)
        return {"domain": parts.netloc, "protocol": parts.scheme, "storage_account": ACCOUNT}

    @property
    def environ(self) -> dict[str, str]:
        return {"AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_KEY": KEY}

    def container(self) -> str:
        """A new, empty container, made with the REST operation Create Container and the account's key."""
        name = f"journal-{uuid4().hex}"
        said = {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": "2021-08-06"}
        lines = ["PUT", *[""] * 11, *(f"{header}:{value}" for header, value in said.items())]
        lines += [f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"]
        said["Authorization"] = f"SharedKey {ACCOUNT}:{self.signed(*lines)}"
        verify = ssl.create_default_context(cafile=self.authority)
        answer = httpx.put(f"{self.url}/{ACCOUNT}/{name}?restype=container", headers=said, verify=verify)
        assert answer.status_code == 201, answer.text
        return name

    def signature(self, container: str, rights: str = "rcwl") -> str:
        """A shared access signature for a container (Microsoft: "Create a service SAS"), good for an hour."""
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        version, kind = "2021-08-06", "c"
        lines = [rights, "", ends, f"/blob/{ACCOUNT}/{container}", "", "", "", version, kind, *[""] * 7]
        return urlencode({"sv": version, "sr": kind, "sp": rights, "se": ends, "sig": self.signed(*lines)})

    def signed(self, *lines: str) -> str:
        return base64.b64encode(
            hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
        ).decode()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with _Running(tmp_path_factory.mktemp("azurite")) as url:
        yield Azurite(url)


@pytest.fixture(scope="session")
def azurite_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Azurite as it takes tokens: over TLS; it reads them without asking Entra who signed them (``--oauth basic``)."""
    folder = tmp_path_factory.mktemp("azurite-tls")
    authority = _certificates(folder)
    options = ["--oauth", "basic", "--cert", str(authority.server_file), "--key", str(authority.server_key_file)]
    with _Running(folder, *options) as url:
        yield Azurite(url, authority.ca_file)


@dataclass(frozen=True)
class S3:
    """An S3 on loopback."""

    url: str

    def bucket(self) -> str:
        name = f"journal-{uuid4().hex}"
        where = {"LocationConstraint": "eu-central-1"}
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
        return name

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="anybody",
            aws_secret_access_key="anything",
        )

    def place(self, bucket: str, path: str = "", environ: Mapping[str, str] | None = None, **query: str) -> Place:
        parameters = {"region": "eu-central-1", "endpoint": self.url, "s3ForcePathStyle": "true", **query}
        keys = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything"}
        return Place(f"s3://{bucket}{path}?{urlencode(parameters)}", keys if environ is None else environ)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with subprocess.Popen(
        [sys.executable, "-c", S3_SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield S3(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        process.kill()


def in_postgres(server: Postgres) -> Place:
    """A new database."""
    return Place(server.url(server.database()))


def in_azurite(server: Azurite) -> Place:
    """A new container."""
    return Place(f"azblob://{server.container()}?{urlencode(server.where)}", server.environ)


def in_s3(server: S3) -> Place:
    """A new bucket."""
    return server.place(server.bucket())


class _Running:
    """A running Azurite; its address as a context."""

    def __init__(self, folder: Path, *options: str) -> None:
        version = json.loads((AZURITE / "package.json").read_text())["dependencies"]["azurite"]
        home = cache_root() / "clients" / f"azurite-{version}"
        program = home / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        assert program.exists(), "`make servers` installs Azurite"
        where = [
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
            "--location",
            str(folder),
            "--disableTelemetry",
            "--silent",
        ]
        self._command = ["node", str(program), *where, "--skipApiVersionCheck", *options]

    def __enter__(self) -> str:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if " successfully listens on " in line:
                return line.split()[-1]
        raise AssertionError("Azurite did not start")

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()


def _certificates(folder: Path) -> Certificates:
    (folder / "tls").mkdir()
    made = Certificates(folder / "tls")
    made.ensure("127.0.0.1")
    return made


def _somebody() -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
