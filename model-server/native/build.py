"""Compiles the C sources beside it to one shared library; needs a C compiler and nothing of Python.

`make setup` and the wheel call it with the machine's own compiler, the image's build stage with the
one of the package ziglang. Without a compiler there is no library, and Pillow does its work.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
# Doubles are rounded after each operation, as in Pillow: no fused multiply-add.
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fPIC",
    "-shared",
)
_COMPILERS = ("cc", "gcc", "clang")


def find_compiler() -> list[str]:
    """The command in the variable CC, else a compiler on the path; empty if there is none."""
    named = shlex.split(os.environ.get("CC", ""))
    return named or [name for name in _COMPILERS if shutil.which(name)][:1]


def compile_library(target: Path, compiler: Sequence[str]) -> None:
    """Compiles to `target`, replaced in one step: a running server may have the old one open.

    Raises:
        subprocess.CalledProcessError: saying on stderr what the compiler did not like.
        OSError: there is no such compiler.
    """
    files = sorted(map(str, SOURCES.glob("*.c")))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        made = Path(folder) / target.name
        subprocess.run([*compiler, *FLAGS, *files, "-lm", "-s", "-o", str(made)], check=True)
        made.replace(target)


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles; without a compiler it says so and succeeds, unless one was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the shared library to write")
    parser.add_argument("--compiler", default="", help="a command, such as 'clang -target ...'")
    arguments = parser.parse_args(argv)
    asked = shlex.split(arguments.compiler)
    compiler = asked or find_compiler()
    if not compiler:
        print("There is no C compiler: pictures will be resized by Pillow, which takes longer")
        return 0
    try:
        compile_library(arguments.target, compiler)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{' '.join(compiler)} failed ({error}): pictures will be resized by Pillow")
        arguments.target.unlink(missing_ok=True)
        return 1 if asked else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
