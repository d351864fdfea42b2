"""Listens to runs of the command line as closely as their own user could, and finds values in what was heard.

Owns: what is switched on, what is caught while a run is under way, and in which disguises a value is looked for. Does
not own: what Python processes tell of themselves (``listening/sitecustomize.py``), which runs there are (the test).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
from trial import Trial

LISTENING = Path(__file__).with_name("listening")


@dataclass(frozen=True)
class Heard:
    """One thing that was caught."""

    where: str
    content: bytes


class Eavesdropper:
    """Runs commands of a trial with everything talkative switched on.

    Args:
        trial: whose environment and project.
        folder: a new folder: HOME, TMPDIR, and what is caught.
        cache: where the engine is kept, outside of that HOME.
    """

    def __init__(self, trial: Trial, folder: Path, cache: Path) -> None:
        self._trial = trial
        self.ear, self.home, self.temporary, self._traces = (folder / name for name in ("ear", "home", "tmp", "trace"))
        for made in (self.ear, self.home, self.temporary, self._traces):
            made.mkdir(parents=True)
        self._environment = {
            **trial.environment,
            "PROVISION_CACHE": str(cache),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "TMPDIR": str(self.temporary),
            "EAR": str(self.ear),
            "PYTHONPATH": str(LISTENING),
            "PYTHONDEVMODE": "1",
            "PYTHONASYNCIODEBUG": "1",
            "AZURE_LOG_LEVEL": "debug",
            "AZURE_SDK_TRACING_IMPLEMENTATION": "",
            "GRPC_VERBOSITY": "debug",
            "PULUMI_OPTION_VERBOSE": "11",
            "PULUMI_OPTION_LOGFLOW": "true",
            "PULUMI_OPTION_TRACING": f"file:{self._traces}/pulumi-trace",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_DEBUG_GRPC": str(self.ear / "pulumi-grpc"),
            "TF_LOG": "TRACE",
        }
        self.heard: list[Heard] = []

    def run(self, command: list[str], *, stop_at: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, or to a line of standard error at which it is interrupted as by a keyboard.

        Args:
            command: its words.
            stop_at: what that line begins with.
            more: further variables.
        """
        process = subprocess.Popen(
            command,
            cwd=self._trial.project,
            env={**self._environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(process.pid, ended))
        watcher.start()
        output: list[str] = []
        reader = threading.Thread(target=lambda: output.append(process.stdout.read() if process.stdout else ""))
        reader.start()
        said = []
        for line in process.stderr or ():
            said.append(line)
            if stop_at and line.startswith(stop_at):
                process.send_signal(2)
        code = process.wait()
        reader.join()
        ended.set()
        watcher.join()
        done = subprocess.CompletedProcess(command, code, output[0], "".join(said))
        name = " ".join(command[1:4])
        self.heard += [Heard(f"{name}: stdout", done.stdout.encode()), Heard(f"{name}: stderr", done.stderr.encode())]
        return done

    def _watch(self, root: int, ended: threading.Event) -> None:
        """What every process below has as command line and environment, and every file that comes and goes."""
        seen: set[tuple[int, float, int]] = set()
        files: dict[Path, tuple[int, int]] = {}
        while not ended.wait(0.02):
            with contextlib.suppress(psutil.Error):
                for process in psutil.Process(root).children(recursive=True):
                    self._look_at(process, seen)
            for folder in (self.temporary, self._traces, self._trial.project):
                for file in _files(folder):
                    with contextlib.suppress(OSError):
                        state = file.stat()
                        if files.get(file) != (state.st_mtime_ns, state.st_size):
                            files[file] = (state.st_mtime_ns, state.st_size)
                            self.heard.append(Heard(str(file), file.read_bytes()))

    def _look_at(self, process: psutil.Process, seen: set[tuple[int, float, int]]) -> None:
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            key = (process.pid, process.create_time(), hash(line))  # exec keeps the process and changes the line
            if key not in seen and line:
                seen.add(key)
                environ = Path(f"/proc/{process.pid}/environ").read_bytes()
                words = line.decode(errors="replace").replace("\0", " ")
                self.heard.append(Heard(f"process {words[:400]}", line + b"\n" + environ))

    def everything(self, *folders: Path) -> Iterator[Heard]:
        """What was heard, and what is in files now."""
        yield from self.heard
        for folder in (self.ear, self.home, self.temporary, self._traces, self._trial.project, *folders):
            for file in _files(folder):
                if file.name.endswith(".path") or (folder != self.ear and file.name.startswith("kept-")):
                    continue
                copied = file.with_name(f"{file.name}.path")
                where = f"{copied.read_text()} (gone)" if copied.exists() else str(file)
                yield Heard(where, file.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in {".venv", "__pycache__"}]
        for name in names:
            file = Path(parent, name)
            if file.is_file():
                yield file


def disguises(value: str) -> set[bytes]:
    """A value as it stands, as JSON, URL, hexadecimal and Base64 have it, the last at each of its three alignments."""
    raw = value.encode()
    found = {raw, quote(value, safe="").encode(), quote(value, safe="").replace("~", "%7E").encode()}
    found |= {raw.replace(b"~", b"\\u007e"), raw.hex().encode(), raw.hex().upper().encode(), value[::-1].encode()}
    found |= {value.encode("utf-16-le")}
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * before + raw)
            found.add(whole[(before * 8 + 5) // 6 : len(whole) - 4])
    return found


def found_in(heard: Iterable[Heard], values: Iterable[str]) -> dict[str, int]:
    """Where any of the values was heard, and how often."""
    forms = [form for value in values for form in disguises(value)]
    places: dict[str, int] = {}
    for one in heard:
        content = one.content
        if content.startswith(b"\x1f\x8b"):
            with contextlib.suppress(OSError, EOFError):
                content = gzip.decompress(content)
        count = sum(content.count(form) for form in forms if form in content)
        if count:
            places[one.where] = places.get(one.where, 0) + count
    return places
