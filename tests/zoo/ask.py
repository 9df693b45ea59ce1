"""What the server makes of every model of a shelf: right, refused, marked as assumed, or wrong.

Run as a program, which has TensorFlow: `python -m zoo.ask FOLDER` reads FOLDER/models, /pictures
and /expected.json, and writes FOLDER/verdicts.json. Each model is loaded as a server of its own
would load it; pictures go in as PNG files, as from a client.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from model_server.errors import ModelServerError, StartupError
from model_server.request.context import RequestContext
from model_server.serving.registry import load_registry
from model_server.settings import load_settings
from model_server.vision.detection import Selection
from model_server.vision.inference import VisionModel

CLOSE = 1e-3


def verdict(model: VisionModel, expected: dict[str, Any], pictures: Path) -> dict[str, Any]:
    """Compares every picture's answer with the plain script's."""
    kind = "answers" if "answers" in expected else "detections"
    compare = _distance if kind == "answers" else _farthest
    worst = 0.0
    for name, right in expected[kind].items():
        data = (pictures / f"{name}.png").read_bytes()
        worst = max(worst, compare(model, data, right))
    allowed = max(CLOSE, 1.01 * expected["step"])
    how = model.image
    outcome = "right" if worst <= allowed else "wrong"
    if outcome == "wrong" and (how.source == "assumed" or model.warnings):
        outcome = "assumed"
    return {"outcome": outcome, "worst": worst, "range": how.scaling, "source": how.source,
            "reason": "; ".join([how.reason, *model.warnings])}  # fmt: skip


def _farthest(model: VisionModel, data: bytes, right: Any) -> float:
    """Largest difference of a score or an edge; 1 if other things were found."""
    came = model.detect(data, Selection(0.3, 100), RequestContext(request_id="zoo")).detections
    if sorted(item.label for item in came) != sorted(row[0] for row in right):
        return 1.0
    by_label = {item.label: [item.score, *item.box] for item in came}
    return max(
        float(np.abs(np.array(by_label[name]) - np.array(numbers)).max())
        for name, *numbers in right
    )


def _distance(model: VisionModel, data: bytes, right: Any) -> float:
    context = RequestContext(request_id="zoo")
    classes = model.classify(data, 1000, context)
    came = np.zeros(len(right))
    for item in classes:
        came[item.class_id] = item.probability
    return float(np.abs(came - right).max())


def ask(folder: Path, name: str, expected: dict[str, Any]) -> dict[str, Any]:
    """Loads one model and asks it; says why if it is refused."""
    settings = {**expected.get("settings", {}), "model": str(folder / "models" / name)}
    try:
        model = load_registry(load_settings(**settings)).default
        return verdict(model, expected, folder / "pictures")
    except StartupError as error:
        return {"outcome": "refused", "reason": error.message}
    except ModelServerError as error:
        return {"outcome": "refused", "reason": f"on request: {error.message}"}


def main(folder: Path) -> None:
    """Asks all models."""
    expected = json.loads((folder / "expected.json").read_text())
    found = {name: ask(folder, name, item) for name, item in expected.items()}
    (folder / "verdicts.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
