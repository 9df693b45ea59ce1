"""The supervisor, run for real with small programs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_cluster.processes import children, identify, wait_until
from local_cluster.supervisor import GO, Program, responds

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0
LISTEN = (
    "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
    "s.listen(); print('listening', flush=True); time.sleep(600)"
)


def python(name: str, code: str, *arguments: str, after: tuple[str, ...] = ()) -> Program:
    return Program(name, (sys.executable, "-c", code, *arguments), after)


def sleeping(name: str, after: tuple[str, ...] = (), gate: str = "") -> Program:
    return Program(name, (sys.executable, "-c", "import time; time.sleep(600)"), after, gate=gate)


@contextmanager
def supervisor(folder: Path, programs: list[Program]) -> Iterator[subprocess.Popen[str]]:
    plan = {
        "programs": [program.as_record() for program in programs],
        "logs": str(folder),
        "record": str(folder / "programs.json"),
        "pki": str(folder),
        "node": None,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    command = [sys.executable, "-m", "local_cluster.supervisor", str(folder / "plan.json")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        yield process
        process.kill()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write(GO)
    process.stdin.close()


def states(folder: Path) -> dict[str, str]:
    try:
        record = json.loads((folder / "programs.json").read_text())
    except FileNotFoundError:
        return {}
    return {str(name): str(text) for name, text in record.items()}


def await_states(folder: Path, wanted: dict[str, str]) -> None:
    assert wait_until(lambda: states(folder) == wanted, PATIENCE), states(folder)


def test_nothing_starts_before_the_word_go(tmp_path: Path) -> None:
    with supervisor(tmp_path, [sleeping("one")]) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE) == 1
    assert states(tmp_path) == {}


def test_a_program_waits_until_what_it_needs_answers(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = Program("server", (sys.executable, "-c", LISTEN, path), probe=path)
    with supervisor(tmp_path, [sleeping("client", after=("server",)), server]) as process:
        let_go(process)
        await_states(tmp_path, {"server": "running", "client": "running"})
        assert process.stdout is not None
        order = [process.stdout.readline().split()[2] for _ in range(2)]
    assert order == ["server:", "client:"]
    assert (tmp_path / "server.log").read_text() == "listening\n"


def test_a_program_waits_for_its_gate(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with supervisor(tmp_path, [sleeping("one", gate=str(gate))]) as process:
        let_go(process)
        await_states(tmp_path, {"one": "waiting"})
        gate.touch()
        await_states(tmp_path, {"one": "running"})


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import sys; sys.exit(3)", "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_the_end_of_a_program_is_told_and_it_is_not_started_again(
    tmp_path: Path, code: str, text: str
) -> None:
    with supervisor(tmp_path, [python("short", code), sleeping("long")]) as process:
        let_go(process)
        await_states(tmp_path, {"short": text, "long": "running"})


def test_a_missing_executable_is_told(tmp_path: Path) -> None:
    with supervisor(tmp_path, [Program("none", ("/no/such/program",))]) as process:
        let_go(process)
        await_states(tmp_path, {"none": "exited with status 127"})
    assert "No such file" in (tmp_path / "none.log").read_text()


def test_orphans_of_programs_are_not_mistaken_for_programs(tmp_path: Path) -> None:
    code = "import os, time; os.fork() or os._exit(7); time.sleep(600)"
    with supervisor(tmp_path, [python("forks", code)]) as process:
        let_go(process)
        await_states(tmp_path, {"forks": "running"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_its_end_is_the_end_of_every_program(tmp_path: Path, number: signal.Signals) -> None:
    with supervisor(tmp_path, [sleeping("one"), sleeping("two")]) as process:
        let_go(process)
        await_states(tmp_path, {"one": "running", "two": "running"})
        started = children(process.pid)
        assert len(started) == 2
        process.send_signal(number)
        process.wait(PATIENCE)
        assert wait_until(lambda: not any(identify(pid) for pid in started), PATIENCE)


def test_probes(tmp_path: Path) -> None:
    assert responds("")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        probe = f"127.0.0.1:{listener.getsockname()[1]}"
        assert not responds(probe)
        listener.listen()
        assert responds(probe)
    assert not responds(str(tmp_path / "nobody"))
    assert not responds("https://127.0.0.1:1/readyz")
    assert not responds("https://127.0.0.1:1/readyz", tmp_path)


def test_it_imports_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import local_cluster.supervisor;"
        "import local_cluster.load_balancer;"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(tops - set(sys.stdlib_module_names) - {'local_cluster'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout == "[]\n"
