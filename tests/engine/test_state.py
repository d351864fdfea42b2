"""Where state and passphrase are, and that neither is readable by others or shown."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import keyring
import keyring.backend
import pytest

from provision.engine.state import open_state, without_passwords
from provision.errors import InvalidInput, StateUnavailable


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PROVISION_DATA": str(tmp_path / "data")}


def test_the_first_use_makes_a_private_directory_and_passphrase_and_keeps_them(environ: dict[str, str]) -> None:
    first = open_state(environ=environ)
    assert first.passphrase_file is not None
    assert stat.S_IMODE(first.passphrase_file.stat().st_mode) == 0o600
    assert first.directory is not None
    assert stat.S_IMODE(first.directory.stat().st_mode) == 0o700
    made = first.passphrase_file.read_text()
    assert len(made) >= 40
    assert open_state(environ=environ) == first
    assert first.passphrase_file.read_text() == made


def test_the_users_own_settings_come_first(environ: dict[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("x")
    environ |= {"PULUMI_CONFIG_PASSPHRASE_FILE": str(kept), "PULUMI_BACKEND_URL": "azblob://states"}
    state = open_state(environ=environ)
    assert (state.backend, state.passphrase_file, state.directory) == ("azblob://states", kept, None)
    given = open_state(f"file://{tmp_path}/elsewhere", environ=environ | {"PULUMI_CONFIG_PASSPHRASE": ""})
    assert (given.passphrase_file, given.directory) == (None, tmp_path / "elsewhere")


@pytest.mark.parametrize("url", ["ftp://somewhere", "somewhere", "C:\\state"])
def test_a_backend_that_pulumi_does_not_know_is_refused(environ: dict[str, str], url: str) -> None:
    with pytest.raises(InvalidInput, match="not a URL that Pulumi knows"):
        open_state(url, environ=environ)


def test_a_password_is_neither_taken_from_the_command_line_nor_shown(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="command line has a password") as refused:
        open_state("postgres://user:hunter2@db/state", environ=environ)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(InvalidInput) as refused:
        open_state(environ=environ | {"PULUMI_BACKEND_URL": "mysql://user:hunter2@db/state"})
    assert "hunter2" not in str(refused.value)
    state = open_state(environ=environ | {"PULUMI_BACKEND_URL": "postgres://user:hunter2@db/state"})
    assert "hunter2" not in f"{state!r} {state.shown}"
    assert state.shown == "postgres://user:****@db/state"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:p/w@rd@db/state", "postgres://u:****@db/state"),
        ("postgres://db/state?user=u&password=p%40w&sslmode=disable", "postgres://db/state?user=u&password=****"),
        (
            'open "postgres://u:pw@db/s": no; see "https://h/?Password=x"',
            'open "postgres://u:****@db/s": no; see "https',
        ),
        (
            'Get "https://localhost:8443/v1.0/users/ada@contoso.com"',
            "https://localhost:8443/v1.0/users/ada@contoso.com",
        ),
        (
            "s3://bucket?region=eu&endpoint=http://127.0.0.1:9000",
            "s3://bucket?region=eu&endpoint=http://127.0.0.1:9000",
        ),
    ],
)
def test_a_url_in_any_text_is_shown_without_its_password(text: str, shown: str) -> None:
    assert shown in without_passwords(text)
    for part in ("p/w", "rd@", "p%40w", ":pw", "=x"):
        assert part not in without_passwords(text)


def test_an_unreadable_passphrase_file_is_one_sentence(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable, match="cannot be read"):
        open_state(environ=environ | {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "absent")})


def test_a_state_directory_that_cannot_be_made_is_one_sentence(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match="cannot be made"):
        open_state(f"file://{tmp_path}/file/state", environ=environ)


class Remembering(keyring.backend.KeyringBackend):
    priority = 5.0  # type: ignore[assignment]  # a class property in the base
    kept: ClassVar[dict[tuple[str, str], str]] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def keyring_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Remembering]]:
    """A real keyring's place taken by one of memory, and the user's own folders by temporary ones."""
    before = keyring.get_keyring()
    keyring.set_keyring(Remembering())
    monkeypatch.setattr(Remembering, "kept", {})
    monkeypatch.setattr("provision.engine.state.user_data_path", lambda _name: tmp_path / "data")
    monkeypatch.setattr("provision.engine.state.user_runtime_path", lambda _name: tmp_path / "run")
    yield Remembering
    keyring.set_keyring(before)


def test_the_keyring_holds_the_passphrase_where_there_is_a_real_one(
    tmp_path: Path, keyring_of_memory: type[Remembering]
) -> None:
    """With a keyring no passphrase lies on the disk; the engine reads a copy in the session's memory."""
    state = open_state(environ={})
    assert open_state(environ={}) == state
    assert state.passphrase_from == "the keyring"
    assert state.passphrase_file == tmp_path / "run/passphrase"
    assert state.passphrase_file.read_text() in keyring_of_memory.kept.values()
    assert stat.S_IMODE(state.passphrase_file.stat().st_mode) == 0o600
    assert not (tmp_path / "data/passphrase").exists()


@pytest.mark.parametrize("trap", ["open to all", "a link"])
def test_the_passphrase_is_not_laid_into_a_folder_that_somebody_prepared(
    tmp_path: Path, keyring_of_memory: type[Remembering], trap: str
) -> None:
    """``/tmp/runtime-1000`` may be anybody's: they could put their own passphrase there before the engine reads it."""
    prepared = tmp_path / ("run" if trap == "open to all" else "theirs")
    prepared.mkdir()
    prepared.chmod(0o777)
    if trap == "a link":
        (tmp_path / "run").symlink_to(prepared)
    with pytest.raises(StateUnavailable, match="not yours alone"):
        open_state(environ={})
    assert list(prepared.iterdir()) == []
    assert keyring_of_memory.kept


def test_a_passphrase_that_others_can_read_is_refused(environ: dict[str, str]) -> None:
    """Put back from a backup, for example."""
    file = open_state(environ=environ).passphrase_file
    assert file is not None
    file.chmod(0o644)
    with pytest.raises(StateUnavailable, match="can be read or written by others") as refused:
        open_state(environ=environ)
    assert refused.value.remedy == f"chmod 600 {file}"
    file.chmod(0o600)
    assert open_state(environ=environ).passphrase_file == file
