"""LiteRT run directly, for tests that hold the server's figures against it.

Shares no code with the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def run_litert(model: Path, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Outputs by name (of the signature where there is one, else of the tensor)."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - costs only who calls

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    if interpreter.get_signature_list():
        runner = interpreter.get_signature_runner()
        (name,) = runner.get_input_details()
        found: dict[str, NDArray[Any]] = runner(**{name: batch})
        return found
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    details = interpreter.get_output_details()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in details}
