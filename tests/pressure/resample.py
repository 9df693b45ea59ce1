"""`python -m pressure.resample [PICTURES [SEED]]`: the C sources of `native/` under sanitizers.

Compiles them with `resample_fuzz.c` and runs that: each byte read or written outside a buffer, each
overflow and each leak ends it. 200,000 pictures take about three minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "model-server" / "native"
FLAGS = (
    *("-std=gnu11", "-O1", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


def compile_fuzzer(folder: Path, compiler: str = "cc") -> Path:
    """The fuzzer, compiled into a folder.

    Raises:
        subprocess.CalledProcessError: with what the compiler said; it may lack sanitizers.
        FileNotFoundError: there is no compiler.
    """
    target = folder / "resample-fuzz"
    files = [str(HERE / "resample_fuzz.c"), *sorted(map(str, NATIVE.glob("*.c")))]
    command = [compiler, *FLAGS, f"-I{NATIVE}", *files, "-lm", "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def main(arguments: list[str]) -> int:
    """Compiles and runs; the fuzzer's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = compile_fuzzer(Path(folder))
        return subprocess.run([str(fuzzer), *(arguments or ["200000"])], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
