"""An env file gets one variable set, keeps the rest, and is whole at every moment."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.secrets.sinks import Delivery, open_sink, open_sinks

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"


def delivery(value: str = VALUE) -> Delivery:
    return Delivery("t", "c", "k", datetime(2028, 1, 1, tzinfo=UTC), value)


def test_a_new_file_is_private_and_shell_readable(tmp_path: Path) -> None:
    file = tmp_path / "mail.env"
    sink = open_sink(f"envfile:{file}")
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    assert file.read_text() == f"MAIL_CLIENT_SECRET={VALUE}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    stored = sink.stored()
    assert stored is not None
    assert stored.value == VALUE
    assert sink.address == f"envfile:{file}#MAIL_CLIENT_SECRET"


def test_other_lines_stay(tmp_path: Path) -> None:
    file = tmp_path / "mail.env"
    file.write_text("# tms\nexport CLIENT_SECRET='old'\nPORT=80\n")
    file.chmod(0o600)
    sink = open_sink(f"envfile:{file}#CLIENT_SECRET")
    assert (sink.stored() or pytest.fail()).value == "old"
    sink.write(delivery())
    assert file.read_text() == f"# tms\nCLIENT_SECRET={VALUE}\nPORT=80\n"
    sink.remove()
    assert file.read_text() == "# tms\nPORT=80\n"
    assert sink.stored() is None


def test_the_last_of_two_lines_counts_as_it_does_for_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "mail.env"
    file.write_text("A=1\nA=2\n")
    file.chmod(0o600)
    assert (open_sink(f"envfile:{file}#A").stored() or pytest.fail()).value == "2"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mail.env"
    sink = open_sink(f"envfile:{file}")
    values = [letter * 40 for letter in "ab"]
    sink.write(delivery(values[0]))
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        sink.write(delivery(values[turn % 2]))
    done.set()
    reader.join()
    assert seen <= {f"MAIL_CLIENT_SECRET={value}\n" for value in values}


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mail.env"
    file.write_text("A=1\n")
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match=r"others \(mode 0644\)"):
        open_sink(f"envfile:{file}").check()


def test_a_full_disk_leaves_the_old_secret_readable(tmp_path: Path) -> None:
    """The kernel refuses the bytes (a file size limit, EFBIG), as it does when a disk is full (ENOSPC)."""
    import resource
    import signal

    file = tmp_path / "mail.env"
    sink = open_sink(f"envfile:{file}")
    sink.write(delivery("old" * 13))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limit[1]))
    try:
        with pytest.raises(InvalidInput, match=r"cannot be written: .*; what was in it before is still there"):
            sink.write(delivery())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, former)
    assert (sink.stored() or pytest.fail()).value == "old" * 13
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("address", ["envfile:relative", "envfile:/x#not a name", "envfile:", "nothing:/x", "envfile"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        open_sink(address)


def test_one_place_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="named twice"):
        open_sinks([f"envfile:{tmp_path}/a", f"envfile:{tmp_path}/a#MAIL_CLIENT_SECRET"])


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "real.env", tmp_path / "link.env"
    link.symlink_to(file)
    open_sink(f"envfile:{link}").write(delivery())
    assert link.is_symlink()
    assert file.read_text() == f"MAIL_CLIENT_SECRET={VALUE}\n"
