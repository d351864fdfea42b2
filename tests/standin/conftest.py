"""The stand-in's process, driven over gRPC as the engine drives it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from provision.sandbox import Sandbox, Tenant
from provision.standin.wire import Secret, decode, encode

Values = dict[str, Any]


@pytest.fixture
def weather(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The server, whose weather is fair again afterwards."""
    yield sandbox
    sandbox.clear_faults()


def urn(token: str) -> str:
    return f"urn:pulumi:dev::tests::{token}::it"


class HalfMade(Exception):
    """The object was made, a later step failed; the engine keeps its id and state."""

    def __init__(self, detail: Any) -> None:
        super().__init__(*detail.reasons)
        self.id = detail.id
        self.state = decode(detail.properties)


@dataclass
class Made:
    """What the engine keeps of a resource."""

    token: str
    id: str
    inputs: Values
    state: Values


class Plugin:
    """One running stand-in.

    Args:
        stub: the provider's protocol.
    """

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    def check(self, token: str, news: Values) -> tuple[Values, list[str]]:
        answer = self.stub.Check(provider_pb2.CheckRequest(urn=urn(token), news=encode(news)))
        return decode(answer.inputs), [failure.reason for failure in answer.failures]

    def create(self, token: str, news: Values, *, preview: bool = False) -> Made:
        inputs, refusals = self.check(token, news)
        assert not refusals
        request = provider_pb2.CreateRequest(urn=urn(token), properties=encode(inputs), preview=preview)
        try:
            answer = self.stub.Create(request)
        except grpc.RpcError as error:
            raise_half_made(error)
            raise
        return Made(token, answer.id, inputs, decode(answer.properties))

    def diff(self, made: Made, news: Values) -> Any:
        inputs, refusals = self.check(made.token, news)
        assert not refusals
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=made.id,
                urn=urn(made.token),
                olds=encode(made.state),
                old_inputs=encode(made.inputs),
                news=encode(inputs),
            )
        )

    def update(self, made: Made, news: Values) -> Made:
        inputs, refusals = self.check(made.token, news)
        assert not refusals
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=made.id,
                urn=urn(made.token),
                olds=encode(made.state),
                old_inputs=encode(made.inputs),
                news=encode(inputs),
            )
        )
        return Made(made.token, made.id, inputs, decode(answer.properties))

    def refresh(self, made: Made) -> Made | None:
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=made.id, urn=urn(made.token), properties=encode(made.state), inputs=encode(made.inputs)
            )
        )
        return Made(made.token, answer.id, decode(answer.inputs), decode(answer.properties)) if answer.id else None

    def take_over(self, token: str, resource_id: str) -> Made | None:
        answer = self.stub.Read(provider_pb2.ReadRequest(id=resource_id, urn=urn(token)))
        return Made(token, answer.id, decode(answer.inputs), decode(answer.properties)) if answer.id else None

    def delete(self, made: Made) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=made.id, urn=urn(made.token), properties=encode(made.state), old_inputs=encode(made.inputs)
            )
        )

    def ask(self, name: str, **arguments: Any) -> Values:
        token = f"azuread:index/{name}:{name}"
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=encode(arguments)))
        assert not answer.failures, list(answer.failures)
        return decode(getattr(answer, "return"))


def raise_half_made(error: Any) -> None:
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            detail = provider_pb2.ErrorResourceInitFailed()
            if status_pb2.Status.FromString(value).details[0].Unpack(detail):
                raise HalfMade(detail) from None


@pytest.fixture(scope="session")
def process(sandbox: Sandbox) -> Iterator[Any]:
    """One stand-in for the session; each test signs it in to a tenant of its own."""
    running = subprocess.Popen(
        [sys.executable, "-m", "provision.standin"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SSL_CERT_FILE": str(sandbox.ca_file)},
    )
    assert running.stdout
    with grpc.insecure_channel(f"127.0.0.1:{int(running.stdout.readline())}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    running.terminate()
    running.communicate(timeout=10)


@pytest.fixture
def plugin(process: Any, sandbox: Sandbox, tenant: Tenant) -> Plugin:
    """A stand-in signed in to a fresh tenant as its administrating app."""
    settings = {
        "metadataHost": sandbox.base_url.removeprefix("https://"),
        "tenantId": tenant.tenant_id,
        "clientId": tenant.admin_client_id,
        "clientSecret": Secret(tenant.admin_client_secret),
    }
    process.Configure(provider_pb2.ConfigureRequest(args=encode(settings)))
    return Plugin(process)
