"""A file with the secret alone: replaced by the next secret, never in place of anything else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from desk import Desk, certificates_arrive

from provision.errors import InvalidInput, WouldOverwrite
from provision.secrets.sinks import Delivery, open_sink


def delivery(value: str) -> Delivery:
    return Delivery("t", "c", "k", datetime(2028, 1, 1, tzinfo=UTC), value)


def test_one_secret_follows_another(tmp_path: Path) -> None:
    file = tmp_path / "my secret"
    sink = open_sink(f"file:{tmp_path}/my%20secret")
    for value in ("a" * 40, "b" * 40):
        sink.check()
        sink.write(delivery(value))
        assert file.read_text() == f"{value}\n"
        assert (sink.stored() or pytest.fail()).value == value
    assert file.stat().st_mode & 0o777 == 0o600
    sink.remove()
    assert not file.exists()
    assert sink.stored() is None


@pytest.mark.parametrize("kind", ["certificate"])
def test_a_certificate_is_a_pem_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mail.pem"
    certificates_arrive(
        desk, open_sink(f"file:{file}", kind="certificate"), lambda: file.read_text().removesuffix("\n")
    )
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["last year's figures", "two\nlines\n", "{}"])
def test_something_else_is_never_overwritten(tmp_path: Path, text: str) -> None:
    file = tmp_path / "taken"
    file.write_text(text)
    file.chmod(0o600)
    sink = open_sink(f"file:{file}")
    for refused in (sink.check, lambda: sink.write(delivery("a" * 40))):
        with pytest.raises(WouldOverwrite):
            refused()
    sink.remove()
    assert file.read_text() == text


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidInput, match="absolute"):
        open_sink("file:secret")
