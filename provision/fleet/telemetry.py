"""Traces and metrics of a fleet's runs by OpenTelemetry, switched on by its usual environment variables alone.

Owns: which spans and metrics there are and what stands in them. Does not own: what is done (its callers), and how they
travel (the SDK). Without the variables nothing is loaded and nothing costs anything.

A run is one trace. Its id, and that of the run's own span, follow from the run's id, so that a worker on another
machine needs no message to add to it. There is no secret, no message and no person's name in an attribute: messages
quote.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import hashlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from provision.errors import InvalidInput
from provision.fleet.outcome import Outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from provision.fleet.coordinator import Ended
    from provision.fleet.jobs import Job
    from provision.fleet.store.values import Run
    from provision.fleet.tenant import Tenant

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SCOPE = "provision.fleet"
_FLUSH_SECONDS, _LAST_FLUSH_SECONDS, _PATIENCE = 1.0, 5.0, 60.0
"""How long a job and a run wait for what was measured to be sent; after a collector was slow, jobs do not wait for so
many seconds."""
_STATUSES = ("unchanged", "pending", "changed", "failed", "not-tried")
_P = ParamSpec("_P")
_Look = TypeVar("_Look")


# Switching on


def wanted(signal: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for ``TRACES`` or ``METRICS``.

    Raises:
        InvalidInput: it asks for a way that is not there.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    endpoint = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environ.get(_ENDPOINT)
    if exporter == "none" or not (exporter or endpoint):
        return False
    if exporter not in ("", "otlp"):
        raise InvalidInput(f"OTEL_{signal}_EXPORTER={exporter} is not there.", remedy="Use otlp or none.")
    name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    name = name if environ.get(name) else "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = environ.get(name, "").strip().lower()
    if protocol not in ("", "http/protobuf"):
        raise InvalidInput(f"{name}={protocol} is not there.", remedy="Use http/protobuf; its usual port is 4318.")
    return True


@dataclass
class _Sdk:
    """The SDK as this process uses it."""

    pid: int
    tracing: TracerProvider | None
    metering: MeterProvider | None
    ids: Any
    instruments: dict[str, Any] = field(default_factory=dict)
    counted: dict[str, Counter[str]] = field(default_factory=dict)
    """By run: tenants by status."""
    slow_until: float = 0.0


_made: _Sdk | None = None
_making = threading.Lock()
_looking: contextvars.ContextVar[tuple[str, str, str] | None] = contextvars.ContextVar("looking", default=None)
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)


def _sdk() -> _Sdk | None:
    """The SDK of this process; None while nothing is wanted.

    Raises:
        InvalidInput: the environment asks for what is not there, or the libraries are not installed.
    """
    global _made  # noqa: PLW0603 - one for each process, as the SDK has it
    traces, metrics = wanted("TRACES"), wanted("METRICS")
    if not (traces or metrics):
        return None
    with _making:
        if _made is None or _made.pid != os.getpid():
            try:
                _made = _make(traces=traces, metrics=metrics)
            except ModuleNotFoundError as missing:
                raise InvalidInput(
                    f"OTEL_… variables are set, but the Python package {missing.name} is not installed.",
                    remedy="pip install 'provision[telemetry]', or OTEL_SDK_DISABLED=true.",
                ) from None
        return _made


def _quietly() -> _Sdk | None:
    """The same inside a worker, where a mistake in the environment is no reason to fail a tenant's job."""
    with contextlib.suppress(InvalidInput):
        return _sdk()
    return None


def _make(*, traces: bool, metrics: bool) -> _Sdk:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random ids, but for the span of a run."""

        run: str | None = None

        def generate_trace_id(self) -> int:
            return _trace_id(self.run) if self.run else super().generate_trace_id()

        def generate_span_id(self) -> int:
            return _span_id(self.run) if self.run else super().generate_span_id()

    _say_once()
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "provision"}
    if "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        named = {}
    resource = Resource.create(named)
    ids = Ids()
    tracing = metering = None
    if traces:
        tracing = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if metrics:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        metering = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return _Sdk(os.getpid(), tracing, metering, ids, _instruments(metering) if metering else {})


def _instruments(metering: MeterProvider) -> dict[str, Any]:
    meter = metering.get_meter(_SCOPE)
    return {
        "tenants": meter.create_gauge("provision.fleet.tenants", "{tenant}", "Tenants of the run, by status."),
        "seconds": meter.create_histogram("provision.fleet.job.duration", "s", "How long a tenant took."),
        "requests": meter.create_counter("provision.fleet.requests", "{request}", "Requests to Microsoft."),
        "throttled": meter.create_counter("provision.fleet.throttled", "{tenant}", "Tenants ended by throttling."),
        "days": meter.create_gauge("provision.fleet.secret.days_left", "d", "Days until the secret in use ends."),
    }


class _Once(logging.Filter):
    """Lets one line through for each process, without a traceback: a collector that is down is no news twice."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is told."""
        told, self._told = self._told, True
        record.exc_info, record.exc_text = None, None
        return not told


def _say_once() -> None:
    logger = logging.getLogger("opentelemetry")
    if not any(isinstance(one, _Once) for handler in logger.handlers for one in handler.filters):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("telemetry: %(message)s"))
        handler.addFilter(_Once())
        logger.addHandler(handler)
        logger.propagate = False


# Metrics, and the run's own span: in the coordinator


def told(run: Run, ended: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    """A callback for each tenant's last outcome that is measured, too.

    Args:
        run: the run.
        ended: called afterwards; returned itself where nothing is wanted.

    Raises:
        InvalidInput: see ``_sdk``.
    """
    sdk = _sdk()
    if sdk is None:
        return ended

    def measured(outcome: Outcome) -> None:
        with contextlib.suppress(Exception):  # what is measured must not stop what is done
            _measure(sdk, run, outcome)
        ended(outcome)

    return measured


def _measure(sdk: _Sdk, run: Run, outcome: Outcome) -> None:
    counted = sdk.counted.setdefault(run.id, Counter())
    counted[outcome.status] += 1
    if sdk.metering is None:
        return
    of = {"provision.fleet": run.fleet, "provision.action": run.action}
    made = sdk.instruments
    made["tenants"].set(counted[outcome.status], {**of, "provision.status": outcome.status})
    if outcome.status != "not-tried":
        made["seconds"].record(outcome.seconds, {**of, "provision.status": outcome.status})
    made["requests"].add(outcome.requests, of)
    if outcome.failure is not None and outcome.failure.throttled:
        made["throttled"].add(1, of)
    if outcome.secret_ends:
        left = (datetime.fromisoformat(outcome.secret_ends) - datetime.now(UTC)).total_seconds() / 86_400
        made["days"].set(left, {"provision.fleet": run.fleet, "provision.tenant.key": outcome.key})


def run_ended(run: Run, ended: Ended) -> None:
    """Sends what is left; and the span of the run, when it has come to its end: a resumed run has one span, too."""
    sdk = _quietly()
    if sdk is None:
        return
    with contextlib.suppress(Exception):
        if sdk.metering is not None:
            for status in _STATUSES:
                of = {"provision.fleet": run.fleet, "provision.action": run.action, "provision.status": status}
                sdk.instruments["tenants"].set(ended.counts.get(status, 0), of)
        if sdk.tracing is not None and ended.complete:
            _send_span(sdk.tracing, sdk.ids, run, ended.counts)
    sdk.counted.pop(run.id, None)
    _flush(sdk, _LAST_FLUSH_SECONDS)


def _send_span(tracing: TracerProvider, ids: Any, run: Run, counts: Mapping[str, int]) -> None:
    from opentelemetry.context import Context

    attributes: dict[str, Any] = {**_of(run.fleet, run.id, run.action)}
    attributes |= {f"provision.tenants.{status}": count for status, count in counts.items()}
    ids.run = run.id
    try:
        span = tracing.get_tracer(_SCOPE).start_span(
            "fleet run", context=Context(), start_time=int(run.begun.timestamp() * 1e9), attributes=attributes
        )
    finally:
        ids.run = None
    span.end()


# Spans of jobs and their steps: in the workers


def traced_job(work: Callable[Concatenate[Job, _P], Outcome]) -> Callable[Concatenate[Job, _P], Outcome]:
    """Makes a span of each job that a function does, which is sent before it returns: its worker may be ended then."""

    @functools.wraps(work)
    def traced(job: Job, /, *arguments: _P.args, **named: _P.kwargs) -> Outcome:
        sdk = _quietly()
        with _job(sdk, job.run, job.fleet, job.action, job.tenant.key) as note:
            outcome = work(job, *arguments, **named)
            note(outcome)
        if sdk is not None:
            _flush(sdk, _FLUSH_SECONDS)
        return outcome

    return traced


@contextlib.contextmanager
def looking(run: str, fleet: str, action: str) -> Iterator[None]:
    """What is looked at inside belongs to the run of an id (``traced_look``)."""
    token = _looking.set((run, fleet, action))
    try:
        yield
    finally:
        _looking.reset(token)


def traced_look(
    look: Callable[[_Look, Tenant], Coroutine[Any, Any, Outcome]],
) -> Callable[[_Look, Tenant], Coroutine[Any, Any, Outcome]]:
    """Makes a span of each tenant that a coroutine of a run looks at."""

    @functools.wraps(look)
    async def traced(self: _Look, tenant: Tenant) -> Outcome:
        of = _looking.get()
        if of is None:
            return await look(self, tenant)
        with _job(_quietly(), *of, tenant.key) as note:
            outcome = await look(self, tenant)
            note(outcome)
        return outcome

    return traced


def send() -> None:
    """Sends what was seen up to now: the worker that saw it may be ended next."""
    sdk = _quietly()
    if sdk is not None:
        _flush(sdk, _FLUSH_SECONDS)


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """A step of a job; nothing outside of one."""
    sdk = _quietly() if _inside.get() else None
    if sdk is None or sdk.tracing is None:
        yield
        return
    with sdk.tracing.get_tracer(_SCOPE).start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except BaseException as error:
            _failed(span, type(error).__name__)
            raise


@contextlib.contextmanager
def _job(sdk: _Sdk | None, run: str, fleet: str, action: str, key: str) -> Iterator[Callable[[Outcome], None]]:
    if sdk is None or sdk.tracing is None:
        yield lambda _outcome: None
        return
    attributes: dict[str, Any] = {**_of(fleet, run, action), "provision.tenant.key": key}
    with sdk.tracing.get_tracer(_SCOPE).start_as_current_span(
        "fleet job",
        context=_below(sdk.tracing, run),
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        token = _inside.set(True)
        try:
            yield lambda outcome: _note(span, outcome)
        finally:
            _inside.reset(token)


def _note(span: Any, outcome: Outcome) -> None:
    span.set_attributes(
        {
            "provision.status": outcome.status,
            "provision.attempt": outcome.attempt,
            "provision.requests": outcome.requests,
            **({"provision.verdict": outcome.verdict} if outcome.verdict else {}),
            **({"provision.tenant.id": outcome.tenant_id} if outcome.tenant_id else {}),
        }
    )
    if outcome.failure is not None:
        span.set_attribute("provision.throttled", outcome.failure.throttled)
        _failed(span, outcome.failure.kind)


def _failed(span: Any, kind: str) -> None:
    """An error by its class alone: its words may quote a person's name."""
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _below(tracing: TracerProvider, run: str) -> Any:
    """The context below a run's span, which this process may never have seen; sampled as that span is."""
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    sampled = tracing.sampler.should_sample(None, _trace_id(run), "fleet run").decision
    flags = TraceFlags(TraceFlags.SAMPLED if sampled is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)
    above = SpanContext(_trace_id(run), _span_id(run), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(above), Context())


def _of(fleet: str, run: str, action: str) -> dict[str, str]:
    return {"provision.fleet": fleet, "provision.run": run, "provision.action": action}


def _trace_id(run: str) -> int:
    return int.from_bytes(hashlib.sha256(f"trace {run}".encode()).digest()[:16])


def _span_id(run: str) -> int:
    return int.from_bytes(hashlib.sha256(f"span {run}".encode()).digest()[:8])


def _flush(sdk: _Sdk, seconds: float) -> None:
    """Sends what is there; a collector that is slow or down is not waited for longer than that."""
    if seconds < _LAST_FLUSH_SECONDS and time.monotonic() < sdk.slow_until:
        return
    providers = [provider for provider in (sdk.tracing, sdk.metering) if provider is not None]

    def send() -> None:
        for provider in providers:
            with contextlib.suppress(Exception):
                provider.force_flush(int(seconds * 1000))

    sending = threading.Thread(target=send, name="telemetry", daemon=True)
    sending.start()
    sending.join(seconds)
    if sending.is_alive():
        sdk.slow_until = time.monotonic() + _PATIENCE
