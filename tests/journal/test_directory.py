"""A journal in a directory: private, whole after a kill at any moment, and plain about what is in its way."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from provision.errors import StateUnavailable
from provision.journal import open_store
from provision.journal.directory import Directory

KEY = "tenant/client"
SIZE = 3_000_000
KILLED_AT = """
import os, signal, sys
from provision.journal import open_store
store, at, passed = open_store(sys.argv[1]), int(sys.argv[2]), 0
entry = store.read("tenant/client")
def watch(event, _arguments):
    global passed
    if event == "open" or event.startswith(("os.", "fcntl.")):
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
store.write("tenant/client", {"by": "second"}, expected=entry.version)
"""
WRITING_ON = """
import sys
from provision.journal import open_store
store = open_store(sys.argv[1])
entry = store.read("tenant/client")
version, number = entry.version, entry.document["number"]
while True:
    number += 1
    version = store.write("tenant/client", {"number": number, "fill": str(number % 10) * 3_000_000}, expected=version)
    print(number, flush=True)
"""
TOO_LARGE = """
import resource, sys
from provision.errors import StateUnavailable
from provision.journal import open_store
store = open_store(sys.argv[1])
entry = store.read("tenant/client")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    store.write("tenant/client", {"fill": "x" * 5000}, expected=entry.version)
except StateUnavailable as refused:
    print(refused)
"""


def test_a_kill_at_any_call_leaves_the_old_or_the_new_journal(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    open_store(url).write(KEY, {"by": "first"}, expected=None)
    seen = []
    for at in range(1, 100):
        found = open_store(url).read(KEY)
        assert found is not None
        if found.document["by"] != "first":
            open_store(url).write(KEY, {"by": "first"}, expected=found.version)
        ended = subprocess.run([sys.executable, "-c", KILLED_AT, url, str(at)], check=False).returncode
        found = open_store(url).read(KEY)
        assert found is not None
        seen.append(found.document["by"])
        assert open_store(url).keys() == [KEY]
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert set(seen[:-1]) == {"first", "second"}, "no kill was before the change, or none after it"
    assert seen == sorted(seen), "a later kill left an earlier journal"
    assert len(_files(tmp_path)) == 2, "kills leave files behind"


def test_a_kill_in_the_middle_of_a_large_write_tears_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    open_store(url).write(KEY, {"number": 0, "fill": "0" * SIZE}, expected=None)
    half = tmp_path / "provision-journal" / "tenant" / ".client.json.new"
    interrupted = 0
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITING_ON, url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # what an earlier kill left is still there, so the first write must be over
            while not half.exists():
                assert process.poll() is None
            process.kill()
        interrupted += half.exists()
        found = open_store(url).read(KEY)
        assert found is not None
        assert found.document["fill"] == str(found.document["number"] % 10) * SIZE
    assert interrupted, "no kill was in the middle: this proves nothing"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"file://{tmp_path}/deep/state")
        store.write(KEY, {"step": 2}, expected=store.write(KEY, {"step": 1}, expected=None))
    finally:
        os.umask(before)
    made = [tmp_path / "deep", *(tmp_path / "deep").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}
    assert len(_files(tmp_path)) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"mark": "1", "document": {',
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"mark": 1, "document": {}}',
        b'{"mark": "1"}',
    ],
)
def test_a_damaged_journal_is_named_and_not_written_over(tmp_path: Path, content: bytes) -> None:
    store = open_store(f"file://{tmp_path}")
    version = store.write(KEY, {}, expected=None)
    file = tmp_path / "provision-journal" / "tenant" / "client.json"
    file.write_bytes(content)
    for attempt in (
        lambda: store.read(KEY),
        lambda: store.write(KEY, {}, expected=version),
        lambda: store.write(KEY, {}, expected=None),
        lambda: store.remove(KEY, expected=version),
    ):
        with pytest.raises(StateUnavailable, match="is damaged") as refused:
            attempt()
        assert str(file) in refused.value.message
        assert refused.value.remedy
    assert file.read_bytes() == content


def test_what_cannot_be_read_written_or_listed_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A directory in a file's place and a file in a directory's: these stop root as well."""
    store = open_store(f"file://{tmp_path}")
    (tmp_path / "provision-journal" / "tenant" / "client.json").mkdir(parents=True)
    (tmp_path / "provision-journal" / "other").touch()
    for attempt in (
        lambda: store.read(KEY),
        lambda: store.write(KEY, {}, expected=None),
        lambda: store.read("other/client"),
        lambda: store.write("other/client", {}, expected=None),
    ):
        with pytest.raises(StateUnavailable, match=r"^The journal /.* cannot be (read|written): .*\.$"):
            attempt()
    with pytest.raises(StateUnavailable, match=r"cannot be listed: Not a directory"):
        open_store(f"file://{tmp_path / 'provision-journal' / 'other'}").keys()


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """A limit on a file's size refuses a write as a full disk does."""
    url = f"file://{tmp_path}"
    version = open_store(url).write(KEY, {"fill": "x"}, expected=None)
    said = subprocess.run([sys.executable, "-c", TOO_LARGE, url], capture_output=True, text=True, check=True).stdout
    assert "cannot be written: File too large" in said
    found = open_store(url).read(KEY)
    assert found is not None
    assert (found.document, found.version) == ({"fill": "x"}, version)
    open_store(url).write(KEY, {"fill": "y"}, expected=version)


def test_a_stopped_writer_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    store = Directory(tmp_path, patience=0.2)
    version = store.write(KEY, {}, expected=None)
    lock = tmp_path / "provision-journal" / "tenant" / ".client.json.lock"
    with lock.open("r+b") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        with pytest.raises(StateUnavailable, match=r"Another process has been writing") as refused:
            store.write(KEY, {"late": True}, expected=version)
        assert str(lock) in refused.value.remedy
        store.write("tenant/another", {}, expected=None)
        assert store.read(KEY) is not None
    store.write(KEY, {"late": True}, expected=version)


def test_the_url_is_read_as_pulumi_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    expected = {
        "file://~": "home",
        "file://~/state": "home/state",
        "file://./here": "here",
        "file://there": "there",
        f"file://{tmp_path}/with%20space": "with space",
        f"file://{tmp_path}/plain?no_tmp_dir=true": "plain",
    }
    for url, folder in expected.items():
        assert open_store(url).shown == str(tmp_path / folder / "provision-journal")


def _files(folder: Path) -> list[Path]:
    """The journal and its lock are all that stays."""
    return [path for path in folder.rglob("*") if path.is_file()]
