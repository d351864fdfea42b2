"""A file with a secret in it is private from its first byte and never replaces another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from provision.errors import InvalidInput, WouldOverwrite
from provision.secrets.files import ensure_writable, write_new_private_file


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
