"""The ends of secrets as metrics in Prometheus's text format, for node_exporter's textfile collector.

The moments themselves and no seconds left: those would be wrong as soon as the file is a minute old, and Prometheus
subtracts by itself ("Instrumentation", section "Timestamps, not time since"; "Metric and label naming").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from provision.secrets.expiry import Registration
from provision.secrets.record import Kind

_LABELS = ("tenant", "client_id", "key_id", "name", "slot")
_WHICH = ("tenant", "client_id", "key_id")
_METRICS: dict[Kind, tuple[str, str]] = {
    "secret": ("entra_client_secret", "a client secret"),
    "certificate": ("entra_client_certificate", "a certificate"),
}


def metrics(registrations: Iterable[Registration], read: Mapping[str, bool]) -> str:
    """The metrics.

    Args:
        registrations: whose secrets and certificates.
        read: each stack or client id that was asked about, and whether its registration could be read.

    Returns:
        Text exposition format 0.0.4.
    """
    registry = CollectorRegistry()
    success = Gauge(
        "entra_app_registration_read_success",
        "Whether the secrets of an app registration could be read: 1 or 0.",
        ("target",),
        registry=registry,
    )
    for target, done in read.items():
        success.labels(target).set(done)
    ends = {
        kind: Gauge(
            f"{metric}_expires_timestamp_seconds",
            f"When {words} of an app registration ends.",
            _LABELS,
            registry=registry,
        )
        for kind, (metric, words) in _METRICS.items()
    }
    decides = Gauge(
        "entra_client_credential_deciding",
        "Whether it is the one that the application stops working without: 1 or 0.",
        _WHICH,
        registry=registry,
    )
    for registration in registrations:
        for entry in registration.entries:
            which = (registration.tenant_id, registration.client_id, entry.key_id)
            if entry.ends is not None:
                ends[entry.kind].labels(*which, entry.name, entry.slot or "foreign").set(entry.ends.timestamp())
            decides.labels(*which).set(entry is registration.deciding)
    return generate_latest(registry).decode()
