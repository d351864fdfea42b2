"""What a collector of OpenTelemetry receives of real runs over OTLP/HTTP, and that one which is down costs nothing."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from fleets import LocalFleet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from provision.errors import InvalidInput
from provision.fleet.telemetry import wanted
from provision.sandbox import Sandbox

ALLOWED = {
    *("provision.fleet", "provision.run", "provision.action", "provision.tenant.key", "provision.tenant.id"),
    *("provision.status", "provision.verdict", "provision.attempt", "provision.requests", "provision.throttled"),
    "error.type",
}
"""No name of a person, no message."""


class Collector:
    """An OTLP/HTTP receiver on loopback that decodes what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.services: dict[bytes, str] = {}
        """Who sent a span, by its id."""
        self.metrics: dict[str, list[Any]] = {}
        self.raw = b""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def points(self, name: str) -> dict[str, float]:
        """The last value of each series, by its attributes in order."""
        found = {}
        for metric in self.metrics.get(name, []):
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                at = " ".join(str(value) for _, value in sorted(values(point.attributes).items()))
                found[at] = point.count if kind == "histogram" else point.as_double or point.as_int
        return found

    def take(self, path: str, body: bytes) -> None:
        with self._lock:
            self.raw += body
            if path == "/v1/traces":
                for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self.resources.append(values(batch.resource.attributes))
                    spans = [span for scope in batch.scope_spans for span in scope.spans]
                    self.services |= {span.span_id: self.resources[-1]["service.name"] for span in spans}
                    self.spans += spans
            elif path == "/v1/metrics":
                for sent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for scope in sent.scope_metrics:
                        for metric in scope.metrics:
                            self.metrics.setdefault(metric.name, []).append(metric)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None: ...

        return Handler


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_an_audit_is_one_trace_of_its_tenants_and_their_steps(
    sandbox: Sandbox, tmp_path: Path, collector: Collector
) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 3, environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    fleet.write(fleet.tenants, wrong={"c0002": "wrong"})
    done = fleet.run("audit", "--expect-no-changes")
    (run,) = collector.named("fleet run")
    jobs = {values(job.attributes)["provision.tenant.key"]: job for job in collector.named("fleet job")}
    assert sorted(jobs) == ["c0001", "c0002", "c0003"], done.stderr
    assert {job.parent_span_id for job in jobs.values()} == {run.span_id}
    assert {span.trace_id for span in collector.spans} == {run.trace_id}
    assert run.parent_span_id == b""
    assert run.start_time_unix_nano <= min(job.start_time_unix_nano for job in jobs.values())
    assert (
        values(run.attributes).items()
        >= {
            "provision.fleet": "trial",
            "provision.action": "audit",
            "provision.tenants.failed": 1,
            "provision.tenants.pending": 2,
        }.items()
    )
    seen = values(jobs["c0001"].attributes)
    assert (seen["provision.status"], seen["provision.verdict"]) == ("pending", "new")
    assert seen["provision.tenant.id"] == fleet.tenants["c0001"].tenant_id
    assert seen["provision.requests"] > 0
    assert values(jobs["c0002"].attributes)["error.type"] == "SignInFailed"
    assert [jobs[key].status.code for key in sorted(jobs)] == [0, 2, 0]
    assert {span.name for span in collector.spans if span.parent_span_id == jobs["c0001"].span_id} == {
        "sign in",
        "read",
    }
    assert collector.resources[0]["service.name"] == "provision"


def test_an_audit_is_measured(sandbox: Sandbox, tmp_path: Path, collector: Collector) -> None:
    fleet = LocalFleet(
        sandbox, tmp_path, 3, environ={"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.url}/v1/metrics"}
    )
    fleet.write(fleet.tenants, wrong={"c0002": "wrong"})
    fleet.run("audit")
    assert (
        collector.points("provision.fleet.tenants").items()
        >= {
            "audit trial failed": 1.0,
            "audit trial pending": 2.0,
        }.items()
    )
    assert collector.points("provision.fleet.job.duration") == {"audit trial failed": 1, "audit trial pending": 2}
    assert collector.points("provision.fleet.requests")["audit trial"] >= 4
    assert collector.spans == []


def test_workers_add_to_the_runs_trace_and_nothing_secret_is_told(
    sandbox: Sandbox, tmp_path: Path, collector: Collector
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "msp"}
    fleet = LocalFleet(sandbox, tmp_path, 1, environ=environ)
    done = fleet.run("up", "--workers", "1")
    assert done.returncode == 0, done.stderr
    (run,) = collector.named("fleet run")
    job = max(collector.named("fleet job"), key=lambda span: span.start_time_unix_nano)
    assert (job.trace_id, job.parent_span_id) == (run.trace_id, run.span_id)
    assert values(job.attributes)["provision.status"] == "changed"
    steps = {span.name: span for span in collector.spans if span.parent_span_id == job.span_id}
    assert {"credential", "engine", "up"} <= steps.keys()
    assert {resource["service.name"] for resource in collector.resources} == {"msp"}
    (days,) = collector.points("provision.fleet.secret.days_left").values()
    assert 300 < days < 800
    secret = fleet.tenants["c0001"].admin_client_secret.encode()
    assert secret not in collector.raw
    assert not re.search(rb"[\w~.-]{3}[78]Q~", collector.raw)
    told = {name: value for span in collector.spans for name, value in values(span.attributes).items()}
    assert told.keys() <= ALLOWED | {f"provision.tenants.{status}" for status in ("changed", "unchanged", "not-tried")}
    assert not [event for span in collector.spans for event in span.events]
    assert not [span.status.message for span in collector.spans if span.status.message]


def test_workers_of_a_cluster_add_to_the_runs_trace(sandbox: Sandbox, tmp_path: Path, collector: Collector) -> None:
    """Each from its own process, by its own environment: what they look at, and what they make."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "coordinator"}
    fleet = LocalFleet(sandbox, tmp_path, 2, environ=environ)
    with Cluster(1, fleet.environment | {"OTEL_SERVICE_NAME": "worker"}) as cluster:
        audited = fleet.run("audit", "--scheduler", cluster.address)
        assert audited.returncode == 15, audited.stderr
        looked = {values(span.attributes)["provision.tenant.key"]: span for span in collector.named("fleet job")}
        made = fleet.run("up", "--scheduler", cluster.address, "--tenant", "c0001")
        assert made.returncode == 0, made.stderr
    audit, up = collector.named("fleet run")
    assert sorted(looked) == ["c0001", "c0002"]
    (job,) = [span for span in collector.named("fleet job") if span.trace_id == up.trace_id]
    for run, jobs in ((audit, looked.values()), (up, [job])):
        assert {(span.trace_id, span.parent_span_id) for span in jobs} == {(run.trace_id, run.span_id)}
        assert {collector.services[span.span_id] for span in jobs} == {"worker"}
        assert collector.services[run.span_id] == "coordinator"
    steps = {span.name for span in collector.spans if span.parent_span_id == looked["c0001"].span_id}
    assert steps == {"sign in", "read"}
    steps = {span.name for span in collector.spans if span.parent_span_id == job.span_id}
    assert {"credential", "engine", "up"} <= steps
    assert collector.points("provision.fleet.tenants")["audit trial pending"] == 2.0
    assert values(job.attributes)["provision.status"] == "changed"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://192.0.2.1:4318"], ids=["refused", "silent"])
def test_a_collector_that_is_down_costs_a_run_no_more_than_seconds(
    sandbox: Sandbox, tmp_path: Path, address: str
) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 2)
    fleet.run("audit")
    began = time.monotonic()
    fleet.run("audit")
    without = time.monotonic() - began
    fleet.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = address
    began = time.monotonic()
    done = fleet.run("audit")
    assert time.monotonic() - began < without + 15
    assert done.returncode == 15, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("telemetry:") <= 1


def test_nothing_is_loaded_unless_it_is_asked_for() -> None:
    program = (
        "import sys\nimport provision.fleet.coordinator, provision.fleet.looking, provision.fleet.jobs\n"
        "from provision.fleet import telemetry\nwith telemetry.step('x'): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.exporter.otlp.proto.http')])"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("environ", "traces", "metrics"),
    [
        ({}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True, False),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, False, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False, False),
    ],
)
def test_the_usual_variables_switch_it_on(environ: dict[str, str], traces: bool, metrics: bool) -> None:
    assert (wanted("TRACES", environ), wanted("METRICS", environ)) == (traces, metrics)


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_a_way_that_is_not_there_is_refused_by_name(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="OTEL_"):
        wanted("TRACES", environ)
