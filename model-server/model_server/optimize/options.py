"""The flags of `model-server optimize` to a frozen value, and nothing else."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from model_server import termination
from model_server.models.tflite_conversion import Form
from model_server.optimize.drift import Bounds
from model_server.settings import Scaling

AUTO = "auto"
_EPILOG = """\
forms, fastest first:
  int8      weights and arithmetic in bytes; needs --pictures to find the ranges of values
  dynamic   weights in bytes, ranges found while it runs
  float32   as it is, in LiteRT instead of TensorFlow
  float16   weights in half precision: half the size, not faster on a CPU
  auto      the first of int8 (with --pictures), dynamic and float32 that stays within the bounds

The folder gets the .tflite file, the labels, and optimized.json: how pictures are prepared, what
was compared and measured. Serve it with the small image: model-server --model FOLDER.

exit status: 0 the model is there, 1 it is not and the termination log says why, 2 wrong flags.
"""


@dataclass(frozen=True)
class Options:
    """What one run was asked to do.

    Attributes:
        model: The SavedModel or Keras model: a file or folder.
        output: The folder for the result.
        pictures: A folder of pictures, or None for drawn ones.
        form: What to convert to; None tries one after another.
        bounds: How far answers may move.
        labels: A label file, or None to look beside the model.
        preprocessing: As in the server's setting.
        termination_log: Where Kubernetes reads why it failed.
    """

    model: str
    output: Path
    pictures: Path | None
    form: Form | None
    bounds: Bounds
    labels: Path | None
    preprocessing: str
    termination_log: Path


def parse_options(argv: Sequence[str] | None) -> Options:
    """Reads the flags; on a wrong one prints the usage and exits with status 2."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.form == "int8" and given.pictures is None:
        parser.error("--form int8 needs --pictures: drawn pictures do not tell a model's ranges")
    return Options(
        model=given.model,
        output=given.output,
        pictures=given.pictures,
        form=None if given.form == AUTO else given.form,
        bounds=Bounds(given.min_agreement, given.max_drift),
        labels=given.labels,
        preprocessing=given.preprocessing,
        termination_log=given.termination_log,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="model-server optimize",
        description="Converts a SavedModel or Keras model to tflite, or refuses when its answers "
        "would change.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="SRC", help="the model: a file, or a folder with one")
    add("--output", required=True, type=Path, metavar="DST", help="folder for the result alone")
    add(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="pictures of the kind the model will see, some tens; without, drawn ones are compared",
    )
    add(
        "--form",
        choices=(AUTO, *get_args(Form)),
        default=AUTO,
        help="what to convert to (default: %(default)s); see below",
    )
    add(
        "--max-drift",
        type=_fraction,
        default=0.1,
        metavar="X",
        help="largest difference of a score, 0 to 1, in any picture (default: %(default)g)",
    )
    add(
        "--min-agreement",
        type=_fraction,
        default=1.0,
        metavar="X",
        help="least share of pictures with the same first class, 0 to 1 (default: %(default)g)",
    )
    add("--labels", type=Path, metavar="FILE", help="class names (default: those beside the model)")
    add(
        "--preprocessing",
        choices=get_args(Scaling),
        default="auto",
        help="what the model wants its pixels to be, as for the server (default: %(default)s)",
    )
    termination.add_flag(parser)
    return parser


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
