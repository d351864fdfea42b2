"""Programs in children of a process that has everything loaded: each as alone as if ``python`` had started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from provision.engine.template import Order
from provision.engine.warm import POSSIBLE, Template
from provision.errors import EngineUnavailable

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="warm starts are for Linux; elsewhere everything starts as usual")


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> Iterator[Template]:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "the worker's own")
    made = Template(["json", "decimal"], {"MARK": "family"})
    yield made
    made.close()


@pytest.fixture
def run(template: Template, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs a script to its end; its exit code and what it said."""

    def run(script: str, *arguments: str, **environment: str) -> tuple[int, str]:
        file = tmp_path / "script.py"
        file.write_text(script)
        order = Order(file=str(file), arguments=arguments, environment=environment, folder=str(tmp_path))
        with (tmp_path / "said").open("w+b") as said:
            code = template.start(order, out=said.fileno(), err=said.fileno()).wait()
            said.seek(0)
            return code, said.read().decode()

    return run


def test_a_program_gets_what_it_is_given_and_nothing_else(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "print(__name__, sys.argv[1:], dict(os.environ), os.getcwd(), 'decimal' in sys.modules)\n"
        "print(sorted(os.listdir('/proc/self/fd')), sys.stdin.read())\n"
    )
    code, said = run(script, "a", "b", ONE="1")
    assert code == 0
    line, descriptors = said.splitlines()
    assert line == f"__main__ ['a', 'b'] {{'ONE': '1'}} {tmp_path} True"
    assert descriptors.strip() == "['0', '1', '2', '3']"  # 3 is the listing's own


def test_what_one_program_leaves_behind_the_next_does_not_see(run: Callable[..., tuple[int, str]]) -> None:
    """Credentials, tokens, Pulumi's globals: all of that is in variables and modules."""
    script = (
        "import decimal, os\n"
        "print(getattr(decimal, 'token', None), os.environ.get('LEFT'))\n"
        "decimal.token = os.environ['LEFT'] = 'secret'\n"
    )
    assert run(script) == run(script) == (0, "None None\n")


@pytest.mark.parametrize(
    ("script", "code", "word"),
    [
        ("import sys; sys.exit(32)", 32, ""),
        ("import sys; sys.exit('gave up')", 1, "gave up"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_its_end_is_told_as_the_interpreters_would_be(
    run: Callable[..., tuple[int, str]], script: str, code: int, word: str
) -> None:
    ended, said = run(script)
    assert ended == code
    assert word in said


def test_the_template_has_no_credential_of_its_worker_and_is_found_by_its_mark(template: Template) -> None:
    template.prepare()
    family = [child for child in psutil.Process().children() if child.environ().get("MARK") == "family"]
    (process,) = family  # whatever else this process has started has another mark, or none
    assert "provision.engine.template" in process.cmdline()
    assert "ARM_CLIENT_SECRET" not in process.environ()
    assert process.num_threads() == 1, "a process of several threads cannot fork at will"


def test_a_killed_program_is_told_and_a_killed_template_replaced(template: Template, tmp_path: Path) -> None:
    file = tmp_path / "sleeps.py"
    file.write_text("import time; time.sleep(60)")
    with Path(os.devnull).open("wb") as nothing:
        started = [template.start(Order(file=str(file)), out=nothing.fileno(), err=nothing.fileno()) for _ in range(2)]
        started[0].kill()
        assert started[0].wait() == -signal.SIGKILL
        started[0].kill()  # nothing happens
        os.kill(psutil.Process(started[1].pid).ppid(), signal.SIGKILL)
        assert started[1].wait() == -signal.SIGKILL
        file.write_text("pass")
        assert template.start(Order(file=str(file)), out=nothing.fileno(), err=nothing.fileno()).wait() == 0


def test_a_module_that_cannot_be_loaded_is_a_sentence() -> None:
    with pytest.raises(EngineUnavailable, match="no_such_module"):
        Template(["no_such_module"]).prepare()


def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(60)")
    worker = (
        "import os, time\n"
        "from provision.engine.template import Order\n"
        "from provision.engine.warm import Template\n"
        f"child = Template(['json']).start(Order(file={str(tmp_path / 'sleeps.py')!r}), out=2, err=2)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        family = [child, psutil.Process(child.ppid())]
        process.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
