"""`make setup` with a Python that cannot run the project: what is wrong, and what to do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "check_python.py"


def check(python: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "check-python", f"PYTHON={python}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def fake_python(folder: Path, change: str) -> Path:
    """A Python that differs from this one in what a statement changes."""
    program = folder / "python"
    program.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -c '\n"
        f"import platform, sys\n{change}\n"
        'exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), '
        '{"__name__": "__main__", "__file__": sys.argv[1]})\n'
        '\' "$@"\n'
    )
    program.chmod(0o755)
    return program


def test_this_python_will_do() -> None:
    done = check(sys.executable)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_every_python_with_wheels_will_do(minor: int, tmp_path: Path) -> None:
    done = check(fake_python(tmp_path, f'sys.version_info = (3, {minor}, 0, "final", 0)'))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 10), (3, 14), (3, 15), (4, 12)])
def test_other_pythons_are_named_with_those_that_will_do(
    version: tuple[int, int], tmp_path: Path
) -> None:
    change = f'sys.version_info = ({version[0]}, {version[1]}, 0, "final", 0)'
    done = check(fake_python(tmp_path, change))
    assert done.returncode != 0
    assert f"is CPython {version[0]}.{version[1]}" in done.stderr
    assert "need Python 3.11, 3.12 or 3.13" in done.stderr
    assert "make setup PYTHON=python3.11" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('sys.modules["ensurepip"] = None', "its module ensurepip is missing"),
        ('sys.modules["venv"] = None', "its module venv is missing"),
        ('platform.python_implementation = lambda: "PyPy"', "is PyPy 3."),
        ("sys.maxsize = 2**31 - 1", "(32-bit), but TensorFlow and LiteRT need 64-bit CPython"),
    ],
)
def test_an_unsuitable_build_of_python(change: str, expected: str, tmp_path: Path) -> None:
    done = check(fake_python(tmp_path, change))
    assert done.returncode != 0
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_debians_package_is_named_where_the_venv_module_is_incomplete(tmp_path: Path) -> None:
    done = check(fake_python(tmp_path, 'sys.modules["ensurepip"] = None'))
    assert f"apt install python3.{sys.version_info[1]}-venv" in done.stderr


def test_no_python_at_all() -> None:
    done = check("no-such-python")
    assert done.returncode != 0
    assert "There is no no-such-python here" in done.stderr


def test_the_script_uses_nothing_that_an_old_python_lacks() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.AnnAssign)]
