"""The text of the model cards, filled in with measured figures; no figure is written by hand."""

from __future__ import annotations

from typing import Any

from .shapes import DETECTED
from .sketches import CLASSIFIED, SKETCHED

#: What each held-out set is, as the cards put it.
STYLES = {
    "training generator": "the training generator, unseen seeds",
    "glyphs": "symbols of the DejaVu font, printed",
    "vector": "clip art: other outlines, flat or outlined, shadows",
    "freehand": "a simulated pen with mass on photographed paper",
}
_DATA = """\
Every picture is drawn by code in `model-server/training` from a seed: no photograph, data set or
weight of others was used, nothing was downloaded. Figures are filled, outlined, hatched or dashed,
by machine or by a shaky hand, with pens from hair-thin to thick, turned by any angle, on paper
(plain, ruled, squared, in perspective on a table), boards, screens, gradients, textures and blurred
clutter, under uneven light and shadows, with blur, noise and JPEG loss, among words and scribbles
that are none of the figures. Pictures are squeezed to the input's shape without keeping their
aspect, as the server does.
"""
_SETS = """\
Two kinds of held-out pictures. The first comes from the training generator with seeds that
training never saw. The others are drawn by code that shares nothing with it (other outlines,
Pillow instead of OpenCV, a font, another model of the hand): they say more about pictures of your
own, and the gap between the two is the honest measure of what the generator does not teach.
"""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _recipe(recipe: dict[str, Any]) -> str:
    return _table(["", ""], [[key, str(value)] for key, value in recipe.items()])


def detector(recipe: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return the detector's card."""
    sets = figures["sets"]
    rows = [
        [
            STYLES[s["set"]],
            f"{s['pictures']} / {s['figures']}",
            f"{s['map50']:.3f}",
            _percent(s["precision"]),
            _percent(s["recall"]),
            f"{s['calibration_error']:.3f}",
        ]
        for s in sets
    ]
    classes = [[name, *(f"{s['ap50'][name]:.3f}" for s in sets)] for name in DETECTED]
    head = ["held-out set", "pictures / figures", "mAP@0.5", "precision at score 0.5",
            "recall at score 0.5", "calibration error"]  # fmt: skip
    return f"""# Model card: the bundled detector

Finds hand-drawn and printed figures: {", ".join(DETECTED)}.
Written by `model-server/training/measure.py`; do not edit.

- Input: uint8 [1, 256, 256, 3], RGB 0 to 255; normalization is inside the file.
- Output, as TFLite_Detection_PostProcess has it: boxes [1, 25, 4] (ymin, xmin, ymax, xmax, 0 to 1),
  classes [1, 25] (0 is the first line of labels.txt), scores [1, 25], count [1]. Overlapping
  answers are suppressed inside the file, whatever their class (overlap above 0.5).
- An anchor-free single-shot convolutional network; built-in LiteRT operators only; float16 weights.
- {figures["bytes"] / 1e6:.2f} MB; {figures["milliseconds"]:.1f} ms for one picture on one thread of
  the x86-64 machine that measured it.
- SHA-256 of model.tflite: `{figures["sha256"]}`
- Scores are calibrated: of answers with score 0.7 about seven in ten are right. 0.5 is a sensible
  threshold.

## Figures

{_SETS}
{_table(head, rows)}
Average precision at overlap 0.5 of each class:

{_table(["class", *(s["set"] for s in sets)], classes)}
## How it learnt

{_recipe(recipe)}
{_DATA}
## Limits

- It knows drawn figures, not things: a wheel in a photograph is not what it learnt as a circle.
- Squares count as rectangles and, since pictures are squeezed, ellipses as circles. A square on its
  tip is a rectangle too.
- Figures below about 5 % of the picture are often missed; very faint or hair-thin strokes in a
  large photograph vanish when it is squeezed to 256 pixels.
- Of two figures whose boxes nearly coincide (a circle inscribed in a square) one is reported.
- At most 25 figures are reported.
"""


def classifier(recipe: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return the classifier's card."""
    sets = figures["sets"]
    rows = [
        [STYLES[s["set"]], str(s["pictures"]), _percent(s["top1"]), _percent(s["top5"])]
        for s in sets
    ]
    classes = [[name, *(_percent(s["of_class"][name]) for s in sets)] for name in CLASSIFIED]
    return f"""# Model card: the bundled classifier

Tells what a drawing shows: {", ".join(DETECTED)}, {", ".join(SKETCHED)}.
Written by `model-server/training/measure.py`; do not edit.

- Input: uint8 [1, 96, 96, 3], RGB 0 to 255; normalization is inside the file.
- Output: float32 [1, {len(CLASSIFIED)}], probabilities in the order of labels.txt.
- A small residual convolutional network; built-in LiteRT operators only; float16 weights.
- {figures["bytes"] / 1e6:.2f} MB; {figures["milliseconds"]:.1f} ms for one picture on one thread of
  the x86-64 machine that measured it.
- SHA-256 of model.tflite: `{figures["sha256"]}`

## Figures

{_SETS}
{_table(["held-out set", "pictures", "top-1", "top-5"], rows)}
Share of right answers of each class (- where a set has no such picture):

{_table(["class", *(s["set"] for s in sets)], classes)}
## How it learnt

{_recipe(recipe)}
{_DATA}
## Limits

- One figure to a picture, filling at least a third of it; of several it names any.
- It knows drawings, not photographs of things, and has no answer for "none of these".
- Houses, trees, faces and the like are expected upright.
"""


CARDS = {"detector": detector, "classifier": classifier}
