"""A file with a secret in it is private from its first byte and never replaces another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.errors import InvalidInput, WouldOverwrite
from provision.secrets.files import ensure_writable, read_private_bytes, replace_private_file, write_new_private_file


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "values.txt"
    write_new_private_file(path, "ClientSecret ä~8Q\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="utf-8") == "ClientSecret ä~8Q\n"


def test_a_file_that_exists_keeps_its_text(tmp_path: Path) -> None:
    path = tmp_path / "values.txt"
    path.write_text("last year's")
    with pytest.raises(WouldOverwrite, match="already exists"):
        write_new_private_file(path, "new")
    assert path.read_text() == "last year's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "values.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(WouldOverwrite):
        write_new_private_file(tmp_path / "values.txt", "secret")
    assert not (tmp_path / "elsewhere.txt").exists()


def test_of_two_writers_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    path = tmp_path / "values.txt"
    refused = []

    def write(text: str) -> None:
        try:
            write_new_private_file(path, text)
        except WouldOverwrite:
            refused.append(text)

    threads = [threading.Thread(target=write, args=(str(n) * 1000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert len(set(path.read_text())) == 1
    assert len(path.read_text()) == 1000


@pytest.mark.parametrize("check", [ensure_writable, lambda path: write_new_private_file(path, "x")])
def test_a_missing_folder_is_one_sentence(tmp_path: Path, check) -> None:
    with pytest.raises(InvalidInput, match="cannot be written") as caught:
        check(tmp_path / "nowhere" / "values.txt")
    assert "folder" in caught.value.remedy


def test_a_taken_name_is_found_before_a_secret_is_made(tmp_path: Path) -> None:
    (tmp_path / "values.txt").touch()
    with pytest.raises(WouldOverwrite):
        ensure_writable(tmp_path / "values.txt")


KILLED = """
import os, signal, sys
from pathlib import Path
from provision.secrets import files

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = die
os.link = die
write = getattr(files, sys.argv[1])
write(Path(sys.argv[2]), "a secret of a killed run")
"""


@pytest.mark.parametrize("write", [write_new_private_file, replace_private_file])
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    path = tmp_path / "secret"
    (tmp_path / ".secret.notours").write_text("kept")
    killed = subprocess.run([sys.executable, "-c", KILLED, write.__name__, str(path)], check=False)
    assert killed.returncode == -9
    (left,) = [file for file in tmp_path.iterdir() if file.name != ".secret.notours"]
    assert left.read_text() == "a secret of a killed run"
    assert left.stat().st_mode & 0o777 == 0o600
    write(path, "new")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"secret": "new", ".secret.notours": "kept"}


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidInput, match="pipe is not a file"):
        read_private_bytes(tmp_path / "pipe", "secret")
