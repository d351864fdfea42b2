"""An entry of a keyring: GNOME's, on a bus of its own, unlocked, locked and gone."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import keyring
import pytest
import secretstorage
from keyring.backend import KeyringBackend
from keyring.backends import SecretService, chainer, fail, null

from provision.errors import InvalidInput, SignInFailed, Unreachable
from provision.secrets.sinks import Delivery, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
BUS = """<busconfig>
  <type>session</type>
  <listen>unix:dir={directory}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>"""


def delivery(value: str = VALUE) -> Delivery:
    return Delivery("tenant-1", "client-1", "k-1", datetime(2028, 1, 1, tzinfo=UTC), value)


@pytest.fixture
def use() -> Iterator[Callable[[KeyringBackend], None]]:
    """Sets the process's keyring as the library's own ``set_keyring`` does, and takes it back afterwards."""
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[KeyringBackend], None]
) -> Iterator[list[subprocess.Popen[str]]]:
    """A bus and GNOME's keyring on it, unlocked by a password; both processes, the bus first."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    config = tmp_path / "bus.xml"
    config.write_text(BUS.format(directory=tmp_path))
    with ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        bus = start("dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1")
        assert bus.stdout is not None
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.stdout.readline().strip())
        daemon = start(
            *("gnome-keyring-daemon", "--foreground", "--unlock"),
            *("--components=secrets", "--control-directory", str(tmp_path)),
        )
        assert daemon.stdin is not None
        assert daemon.stdout is not None
        daemon.stdin.write("password")
        daemon.stdin.close()
        while not _serves():
            assert daemon.poll() is None
        use(SecretService.Keyring())
        yield [bus, daemon]


def _serves() -> bool:
    connection = secretstorage.dbus_init()
    try:
        if not secretstorage.check_service_availability(connection):
            return False
        return not secretstorage.get_default_collection(connection).is_locked()
    except secretstorage.exceptions.SecretStorageException:
        return False
    finally:
        connection.close()


def test_an_entry_is_set_shown_and_deleted(session: object) -> None:
    sink = open_sink("keyring:tms/mail")
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id, stored.changed) == (VALUE, None, None)
    sink.write(delivery("b" * 40))
    assert keyring.get_password("tms", "mail") == "b" * 40
    sink.remove()
    assert keyring.get_password("tms", "mail") is None
    sink.remove()


def test_the_service_may_be_an_address_and_the_name_may_have_blanks(session: object) -> None:
    sink = open_sink("keyring:https://tms.example/graph/mail%20of%2Fours")
    sink.write(delivery())
    assert keyring.get_password("https://tms.example/graph", "mail of/ours") == VALUE
    assert sink.address == "keyring:https://tms.example/graph/mail%20of%2Fours"


def test_other_entries_stay(session: object) -> None:
    keyring.set_password("tms", "other", "theirs")
    sink = open_sink("keyring:tms/mail")
    sink.write(delivery())
    sink.remove()
    assert keyring.get_password("tms", "other") == "theirs"


def test_on_disk_it_is_not_in_clear(session: object, tmp_path: Path) -> None:
    open_sink("keyring:tms/mail").write(delivery())
    kept = [file for file in tmp_path.rglob("*.keyring") if file.is_file()]
    assert kept
    assert not [file for file in kept if VALUE.encode() in file.read_bytes()]


def test_a_locked_keyring_is_said_to_be_locked(session: object) -> None:
    connection = secretstorage.dbus_init()
    secretstorage.get_default_collection(connection).lock()
    connection.close()
    sink = open_sink("keyring:tms/mail")
    for asked in (sink.check, lambda: sink.write(delivery())):
        with pytest.raises(SignInFailed, match="The keyring SecretService Keyring is locked"):
            asked()


def test_a_keyring_that_has_gone_is_one_sentence(session: list[subprocess.Popen[str]]) -> None:
    sink = open_sink("keyring:tms/mail")
    sink.check()
    bus, daemon = session
    daemon.kill()
    daemon.wait()
    bus.kill()
    bus.wait()
    with pytest.raises((Unreachable, InvalidInput)) as caught:
        sink.write(delivery())
    assert VALUE not in str(caught.value)
    assert caught.value.__cause__ is None


class InClear(KeyringBackend):
    """What the packages with plain files are: a backend whose priority says that it is not to be used."""

    priority = 0.5

    def get_password(self, service: str, username: str) -> str | None:
        pytest.fail("asked")

    def set_password(self, service: str, username: str, password: str) -> None:
        pytest.fail("asked")

    def delete_password(self, service: str, username: str) -> None:
        pytest.fail("asked")


class Chain(chainer.ChainerBackend):
    """The library's own chain, of one backend that keeps secrets in clear."""

    backends = (InClear(),)


@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring, InClear, Chain])
def test_no_keyring_or_one_in_clear_is_refused(
    backend: type[KeyringBackend], use: Callable[[KeyringBackend], None]
) -> None:
    use(backend())
    sink = open_sink("keyring:tms/mail")
    for asked in (sink.check, sink.stored, lambda: sink.write(delivery()), sink.remove):
        with pytest.raises(InvalidInput, match="no keyring that keeps secrets encrypted") as caught:
            asked()
        assert "envfile:" in caught.value.remedy


def test_the_limits_of_windows_count_everywhere(session: object) -> None:
    open_sink(f"keyring:tms/{'u' * 513}").write(delivery("v" * 1280))
    assert len(keyring.get_password("tms", "u" * 513) or "") == 1280
    with pytest.raises(InvalidInput, match="longer than the 1280 characters"):
        open_sink("keyring:tms/mail").write(delivery("v" * 1281))
    with pytest.raises(InvalidInput, match="longer than 513 characters"):
        open_sink(f"keyring:tms/{'u' * 514}")


def test_the_value_is_in_no_log_and_no_repr(session: object, caplog: pytest.LogCaptureFixture) -> None:
    sink = open_sink("keyring:tms/mail")
    with caplog.at_level(logging.DEBUG):
        for name in ("keyring", "secretstorage", "jeepney", "asyncio"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.check()
        sink.write(delivery())
        stored = sink.stored()
        sink.remove()
    assert VALUE not in caplog.text
    assert VALUE not in repr((sink, stored))


@pytest.mark.parametrize("rest", ["mail", "/mail", "tms/", "tms/a%00b", "tms/a%0Ab"])
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput, match="not a service and a user name"):
        open_sink(f"keyring:{rest}")
