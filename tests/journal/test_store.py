"""The stories that every kind of journal tells alike, each on the real part."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from stores import KEY as ACCOUNT_KEY
from stores import Place

from provision.errors import InvalidInput
from provision.journal import Conflict, Store, open_store

TENANT = "0f3d1f5c-9c3f-4c61-9a55-7f5f6a1d2b10"
KEY = f"{TENANT}/5a0c3b52-1d47-4be6-8a5f-6b6d0f6f9a11"


def test_where_nothing_was_written_there_is_nothing(place: Place) -> None:
    store = place.open()
    assert store.read(KEY) is None
    assert store.keys() == []
    with pytest.raises(Conflict):
        store.write(KEY, {"step": "minted"}, expected="8")
    with pytest.raises(Conflict):
        store.remove(KEY, expected="8")
    assert store.keys() == []


def test_another_runner_goes_on_with_what_one_has_written(place: Place) -> None:
    document = {"steps": ["intended", {"at": 1.5, "by": None}], "Überschrift": "☃ \\u0000 𝄞", "done": False, "n": 2**70}
    written = place.open().write(KEY, document, expected=None)
    found = place.open().read(KEY)
    assert found is not None
    assert found.document == document
    assert found.version == written

    after = place.open().write(KEY, {}, expected=found.version)
    assert after != written
    found = place.open().read(KEY)
    assert found is not None
    assert (found.document, found.version) == ({}, after)


def test_who_builds_on_an_old_version_writes_nothing(place: Place) -> None:
    store, other = place.open(), place.open()
    first = store.write(KEY, {"by": "one"}, expected=None)
    second = other.write(KEY, {"by": "two"}, expected=first)
    for stale in (first, None, "", "nonsense", '["nonsense", null]', "99999999999999999999999999", "null"):
        with pytest.raises(Conflict):
            store.write(KEY, {"by": "one again"}, expected=stale)
        if stale is not None:
            with pytest.raises(Conflict):
                store.remove(KEY, expected=stale)
    assert _read(store) == ({"by": "two"}, second)


def test_the_same_document_written_again_is_another_version(place: Place) -> None:
    store = place.open()
    versions = [store.write(KEY, {"same": True}, expected=None)]
    for _ in range(3):
        versions.append(store.write(KEY, {"same": True}, expected=versions[-1]))
    assert len(set(versions)) == 4


def test_a_removed_journal_is_gone_and_can_begin_anew(place: Place) -> None:
    store = place.open()
    first = store.write(KEY, {"life": 1}, expected=None)
    store.remove(KEY, expected=first)
    assert store.read(KEY) is None
    assert store.keys() == []
    with pytest.raises(Conflict):
        store.remove(KEY, expected=first)
    with pytest.raises(Conflict):
        store.write(KEY, {"life": 1}, expected=first)

    second = store.write(KEY, {"life": 1}, expected=None)
    assert second != first
    with pytest.raises(Conflict):
        store.write(KEY, {"life": 3}, expected=None)
    with pytest.raises(Conflict):
        store.remove(KEY, expected=first)
    assert _read(store) == ({"life": 1}, second)


def test_every_journal_is_listed_and_none_disturbs_another(place: Place) -> None:
    store = place.open()
    names = [KEY, f"{TENANT}/second", "fabrikam.onmicrosoft.com/mail_app-1", "0", "alone"]
    versions = {name: store.write(name, {"name": name}, expected=None) for name in names}
    assert store.keys() == sorted(names)
    store.remove("alone", expected=versions["alone"])
    assert store.keys() == sorted(set(names) - {"alone"})
    assert store.read("0") is not None


@pytest.mark.parametrize(
    "key",
    ["", "/", "a/", "/a", "a//b", "..", "a/../b", "A", ".hidden", "a b", "a\\b", "ü", "x" * 129, "a\n", "a/.lock"],
)
def test_a_name_that_could_lead_elsewhere_is_refused(place: Place, key: str) -> None:
    store = place.open()
    for attempt in (
        lambda: store.read(key),
        lambda: store.write(key, {}, expected=None),
        lambda: store.remove(key, expected="1"),
    ):
        with pytest.raises(InvalidInput, match="journal's name"):
            attempt()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\0b", "\ud800"])
def test_what_not_every_place_can_keep_no_place_takes(place: Place, value: object) -> None:
    store = place.open()
    with pytest.raises(ValueError, match=r"."):
        store.write(KEY, {"value": [value]}, expected=None)
    assert store.read(KEY) is None


def test_a_large_journal_comes_back_whole(place: Place) -> None:
    store = place.open()
    document = {f"step {number}": "é" * 1000 for number in range(500)}
    version = store.write(KEY, document, expected=None)
    assert _read(store) == (document, version)


def test_no_count_is_lost_between_processes(place: Place) -> None:
    """They also race for the first write of all, which makes the place and the document."""
    processes, times = 6, 12
    counting = [sys.executable, str(Path(__file__).parent / "counting.py"), place.url, KEY, str(times)]
    running = [
        subprocess.Popen(counting, env={**os.environ, **place.environ}, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    again = [int(process.communicate()[0]) for process in running]
    assert [process.returncode for process in running] == [0] * processes
    found = place.open().read(KEY)
    assert found is not None
    assert found.document == {"count": processes * times}
    assert sum(again), "nobody met anybody: this proves nothing"


def test_threads_may_share_a_store(place: Place) -> None:
    store = place.open()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            version = store.write(f"{TENANT}/{number}", {"step": 0}, expected=None)
            for step in range(1, 6):
                version = store.write(f"{TENANT}/{number}", {"step": step}, expected=version)
                assert store.read(f"{TENANT}/{number}") is not None
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    names = store.keys()
    assert len(names) == 6
    assert [found.document for found in map(store.read, names) if found] == [{"step": 5}] * 6


def test_where_it_is_can_be_shown(place: Place) -> None:
    """Without what lets one in."""
    store = place.open()
    assert "journal" in store.shown
    assert ACCOUNT_KEY not in store.shown
    assert "st%C3%A4ple" not in store.shown
    assert "stäple" not in store.shown


@pytest.mark.parametrize("url", ["https://api.pulumi.com", "https://api.pulumi.com/org", "http://pulumi.internal"])
def test_pulumi_cloud_has_no_place_for_a_journal(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_store(url, {})
    assert "--journal" in refused.value.remedy
    assert "PROVISION_JOURNAL" in refused.value.remedy


@pytest.mark.parametrize("url", ["", "/srv/state", "mongodb://host/db", "postgresql://host/db"])
def test_a_place_of_no_known_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be kept"):
        open_store(url, {})


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("postgres://host/db", "psycopg", "postgres"), ("azblob://box", "obstore", "objects")],
)
def test_a_missing_package_is_named(url: str, package: str, extra: str) -> None:
    """As after a plain ``pip install``: the package cannot be found by the process."""
    code = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from provision.errors import InvalidInput; from provision.journal import open_store\n"
        f"try: open_store({url!r})\n"
        "except InvalidInput as refused: print(refused)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"Python package {package}" in said
    assert f"pip install 'provision[{extra}]'" in said


def _read(store: Store) -> tuple[dict[str, object], str]:
    found = store.read(KEY)
    assert found is not None
    return found.document, found.version
