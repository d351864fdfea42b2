"""The provider as the Pulumi engine calls it, over gRPC.

Owns: translating the engine's requests into what ``checking``, ``planning``, ``resources`` and ``lookups`` do, and
failures into answers.
Does not own: any of those.

The Pulumi SDK's own provider server (``pulumi.provider.server``) serves components only, so its gRPC base class is
used here.
"""

# ruff: noqa: ARG002 - the signatures are gRPC's
from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NoReturn, TypeAlias

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from provision.errors import ProvisionError
from provision.standin import configuration, planning, schema, taking_over
from provision.standin.checking import check, plain
from provision.standin.lookups import LOOKUPS
from provision.standin.planning import Change, State
from provision.standin.resources import RESOURCES
from provision.standin.resources.interface import Refused, Resource
from provision.standin.session import Deadline, Session
from provision.standin.signing_in import open_session
from provision.standin.wire import UNKNOWN, Secret, decode, encode

NOTICE = "azuread: this is the offline stand-in of the azuread plugin; it serves the local tenant only."

_KINDS = {
    (change, replaces): getattr(provider_pb2.PropertyDiff, f"{change.value}_REPLACE" if replaces else change.value)
    for change in Change
    for replaces in (False, True)
}
_UNCONFIGURED = "The azuread provider is not configured yet: something its settings depend on is not known."
_BESIDE_STATE = frozenset({"id", "__meta", "__defaults", "__pulumi_raw_state_delta"})
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The stand-in's provider.

    Args:
        engine_address: where the engine listens, for the notice; empty when nothing was said.
        loaded: returns when the SDK is loaded. Two threads that load it at once break each other's imports.
    """

    def __init__(self, engine_address: str, loaded: Callable[[], None]) -> None:
        self._engine_address = engine_address
        self._loaded = loaded
        self._session: Session | None = None

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version that the stand-in goes by: that of the installed pulumi-azuread package."""
        return plugin_pb2.PluginInfo(version=version("pulumi-azuread"))

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Learns where the engine is."""
        self._engine_address = request.engine_address or self._engine_address
        return provider_pb2.ProviderHandshakeResponse()

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        """Learns where the engine is, when it found the stand-in running."""
        self._engine_address = request.address
        return empty_pb2.Empty()

    async def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        """The served types."""
        return provider_pb2.GetSchemaResponse(schema=schema.package_schema(version("pulumi-azuread")))

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        """Ends every wait."""
        if self._session is not None:
            self._session.cancelled.set()
        return empty_pb2.Empty()

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Refuses unknown settings and marks the secret ones."""
        news = decode(request.news)
        known = {variable.name for variable in configuration.VARIABLES} | {"version", "pluginDownloadURL"}
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"The azuread provider has no setting {name}.")
            for name in news
            if name not in known and not name.startswith("__")
        ]
        marked = {name: Secret(value) if name in configuration.SECRETS else value for name, value in news.items()}
        return provider_pb2.CheckResponse(inputs=encode(marked), failures=failures)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """No setting needs a new provider."""
        olds, news = decode(request.olds), decode(request.news)
        changed = sorted(name for name in {*olds, *news} if olds.get(name) != news.get(name))
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, diffs=changed)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        """Passes the gate, signs in, and says what this is."""
        given = decode(request.args)
        await self._say(NOTICE)
        await asyncio.to_thread(self._loaded)
        if UNKNOWN not in given.values():
            try:
                self._session = await open_session(configuration.Configuration(given))
            except ProvisionError as refusal:
                await _fail(context, refusal)
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Fills in defaults and refuses what cannot be."""
        resource = await _resource(request.urn, context)
        name = request.urn.rpartition("::")[2]
        checked = check(resource.fields, decode(request.news), name)
        refusals = checked.refusals
        if not refusals:
            refusals = resource.contradictions(_known(planning.plan(resource.fields, plain(checked.inputs), None)))
        failures = [provider_pb2.CheckFailure(reason=refusal) for refusal in refusals]
        return provider_pb2.CheckResponse(inputs=encode(checked.inputs), failures=failures)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compares the state with what the inputs would make of it."""
        resource = await _resource(request.urn, context)
        prior, inputs = _state(request.olds), plain(decode(request.news))
        planned = planning.plan(resource.fields, inputs, prior)
        await self._foresee(context, resource, planned, prior)
        found = planning.differences(resource.fields, inputs, prior, planned)
        found = [item for item in found if not _ignored(item.path, request.ignoreChanges)]
        replaces = sorted({difference.top for difference in found if difference.replaces})
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted({difference.top for difference in found}),
            replaces=replaces,
            stables=sorted(item.name for item in resource.fields if item.replaces and item.name not in replaces),
            hasDetailedDiff=True,
            detailedDiff={
                difference.path: provider_pb2.PropertyDiff(kind=_KINDS[difference.change, difference.replaces])
                for difference in found
            },
        )

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Makes the object; from its id on, every failure leaves it known to the engine."""
        resource = await _resource(request.urn, context)
        planned = planning.plan(resource.fields, plain(decode(request.properties)), None)
        if request.preview:
            await self._foresee(context, resource, planned, None)
            return provider_pb2.CreateResponse(properties=_outputs(resource, "", planned))
        deadline = Deadline.after(request.timeout or resource.timeouts.create)
        session = await self._signed_in(context)
        try:
            made = await resource.create(session, _known(planned), deadline)
        except ProvisionError as refusal:
            await _fail(context, refusal, f"{resource.title} was not made")
        state = {**_known(planned), **made.told}
        try:
            await resource.complete(session, made, _known(planned), deadline)
            fresh = await resource.read(session, made.id, state)
            if fresh is None:
                raise Refused(f"{made.id} was made, and then it was gone.", remedy="Run again.")
        except ProvisionError as refusal:
            await _half_made(context, refusal, made.id, _outputs(resource, made.id, state), request.properties)
        state = planning.settled(resource.fields, planned, planning.tidy(resource.fields, fresh))
        return provider_pb2.CreateResponse(id=made.id, properties=_outputs(resource, made.id, state))

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """Reads for a refresh, or for an import when there is no state yet; an empty answer means it is not there."""
        resource = await _resource(request.urn, context)
        importing = not request.properties.fields
        if not resource.owns_id(request.id) or (importing and not resource.importable):
            return provider_pb2.ReadResponse()
        prior = _state(request.properties)
        session = await self._signed_in(context)
        try:
            fresh = await resource.read(session, request.id, prior)
        except ProvisionError as refusal:
            await _fail(context, refusal, f"{resource.title} {request.id} was not read")
        if fresh is None:
            return provider_pb2.ReadResponse()
        state = planning.tidy(resource.fields, fresh)
        old_inputs = decode(request.inputs)
        if old_inputs and not importing:
            inputs = taking_over.refreshed_inputs(resource.fields, old_inputs, state)
        else:
            inputs = taking_over.imported_inputs(resource.fields, state)
        return provider_pb2.ReadResponse(
            id=request.id, properties=_outputs(resource, request.id, state), inputs=encode(inputs)
        )

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Changes the object in place."""
        resource = await _resource(request.urn, context)
        prior, inputs = _state(request.olds), plain(decode(request.news))
        for name in set(request.ignoreChanges) & {item.name for item in resource.fields}:
            inputs[name] = prior.get(name)
        planned = planning.plan(resource.fields, inputs, prior)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_outputs(resource, request.id, planned))
        found = planning.differences(resource.fields, inputs, prior, planned)
        changed = frozenset(difference.top for difference in found)
        deadline = Deadline.after(request.timeout or resource.timeouts.update or 0)
        session = await self._signed_in(context)
        try:
            await resource.update(session, request.id, _known(planned), changed, deadline)
            fresh = await resource.read(session, request.id, {**prior, **_known(planned)})
            if fresh is None:
                raise Refused(
                    f"{request.id} is not in the tenant any more.", remedy="Run `pulumi refresh`, then again."
                )
        except ProvisionError as refusal:
            await _fail(context, refusal, f"{resource.title} {request.id} was not changed")
        state = planning.settled(resource.fields, planned, planning.tidy(resource.fields, fresh))
        return provider_pb2.UpdateResponse(properties=_outputs(resource, request.id, state))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        """Deletes the object; one that is gone already is deleted."""
        resource = await _resource(request.urn, context)
        session = await self._signed_in(context)
        deadline = Deadline.after(request.timeout or resource.timeouts.delete)
        prior = _state(request.properties)
        try:
            if await resource.read(session, request.id, prior) is not None:
                await resource.delete(session, request.id, prior, deadline)
        except ProvisionError as refusal:
            await _fail(context, refusal, f"{resource.title} {request.id} was not deleted")
        return empty_pb2.Empty()

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """Answers a lookup."""
        lookup = LOOKUPS.get(request.tok)
        if lookup is None:
            await _fail(context, _not_served(request.tok, list(LOOKUPS)))
        given = {name: value for name, value in decode(request.args).items() if value is not None}
        if refusals := lookup.refusals(given):
            return provider_pb2.InvokeResponse(failures=[provider_pb2.CheckFailure(reason=words) for words in refusals])
        session = await self._signed_in(context)
        try:
            answer = await lookup.ask(session, given)
        except ProvisionError as refusal:
            await _fail(context, refusal)
        return provider_pb2.InvokeResponse(**{"return": encode(answer)})

    async def _signed_in(self, context: Context) -> Session:
        if self._session is None:
            await _fail(context, Refused(_UNCONFIGURED))
        return self._session

    async def _foresee(self, context: Context, resource: Resource, planned: State, prior: State | None) -> None:
        if self._session is None:
            return
        try:
            await resource.foresee(self._session, planned, prior)
        except ProvisionError as refusal:
            await _fail(context, refusal)

    async def _say(self, message: str) -> None:
        if not self._engine_address:
            return
        async with grpc.aio.insecure_channel(self._engine_address) as channel:
            request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message)
            try:
                await engine_pb2_grpc.EngineStub(channel).Log(request, timeout=5)
            except grpc.aio.AioRpcError:
                return


async def _resource(urn: str, context: Context) -> Resource:
    token = urn.split("::")[2].rpartition("$")[2]
    resource = RESOURCES.get(token)
    if resource is None:
        await _fail(context, _not_served(token, list(RESOURCES)))
    return resource


def _not_served(token: str, served: Sequence[str]) -> Refused:
    names = ", ".join(name.rpartition(":")[2] for name in served)
    return Refused(
        f"The offline stand-in of the azuread plugin does not serve {token}.",
        remedy=f"It serves {names}; for the rest use the real plugin.",
    )


def _state(properties: struct_pb2.Struct) -> State:
    return {name: value for name, value in decode(properties).items() if name not in _BESIDE_STATE}


def _ignored(path: str, ignored: Sequence[str]) -> bool:
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in ignored)


def _known(planned: State) -> State:
    return {name: None if value is UNKNOWN else value for name, value in planned.items()}


def _outputs(resource: Resource, resource_id: str, state: State) -> struct_pb2.Struct:
    values: State = {item.name: state.get(item.name) for item in resource.fields}
    for item in resource.fields:
        if item.secret:
            values[item.name] = Secret(values[item.name])
    return encode({**values, "id": resource_id or UNKNOWN, "__meta": resource.meta()})


async def _fail(context: Context, refusal: ProvisionError, what: str = "") -> NoReturn:
    await context.abort(grpc.StatusCode.UNKNOWN, f"{what}: {refusal}" if what else str(refusal))
    raise asyncio.CancelledError


async def _half_made(
    context: Context,
    refusal: ProvisionError,
    resource_id: str,
    properties: struct_pb2.Struct,
    inputs: struct_pb2.Struct,
) -> NoReturn:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=resource_id, properties=properties, inputs=inputs, reasons=[str(refusal)]
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(refusal))
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await _fail(context, refusal)
