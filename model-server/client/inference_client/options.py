"""The command line: flags to a frozen value, and nothing else.

The first three flags are the object-detection article's own, with its short forms and defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, cast

from inference_client.results import PictureFormat

Format = Literal["picture", "json", "csv"]
FORMATS: tuple[Format, ...] = ("picture", "json", "csv")
STDOUT = "-"

_EPILOG = """\
examples:
  inference-client --address http://127.0.0.1:5000 --image_path street.jpg --output_dir outputs/
  inference-client -i photos/ -o outputs/ --format picture,csv --concurrency 8
  cat street.jpg | inference-client -i - -o - --format json
  inference-client --classify -i dog.png

exit status: 0 every picture was answered, 1 one was not, 2 the command line is wrong.
"""


@dataclass(frozen=True)
class Options:
    """What one run was asked to do.

    Attributes:
        output_dir: As the user wrote it, because it is printed so; `-` is standard output.
        formats: What to write, without repetition.
        concurrency: Pictures in flight at the same time.
        timeout: Seconds for one answer.
        retries: Further tries of one request.
        score_threshold: Least score, 0 to 1, or None for the server's own.
        max_boxes: Detections at most, or None for the server's own limit.
        top_k: Classes in one answer, or None for the server's own number.
    """

    address: str
    image_paths: tuple[str, ...]
    output_dir: str
    classify: bool
    formats: tuple[Format, ...]
    picture_format: PictureFormat
    concurrency: int
    timeout: float
    retries: int
    score_threshold: float | None
    max_boxes: int | None
    top_k: int | None
    quiet: bool

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.output_dir)


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Reads the flags; on a wrong one prints the usage and exits with status 2."""
    parser = _parser()
    given = parser.parse_args(arguments)
    formats = _formats(parser, given.format, classify=given.classify)
    if given.output_dir == STDOUT and (len(formats) != 1 or formats[0] == "picture"):
        parser.error("--output_dir - writes one document: add --format json or --format csv")
    return Options(
        address=given.address,
        image_paths=tuple(given.image_path),
        output_dir=given.output_dir,
        classify=given.classify,
        formats=formats,
        picture_format=given.picture_format,
        concurrency=given.concurrency,
        timeout=given.timeout,
        retries=given.retries,
        score_threshold=given.score_threshold,
        max_boxes=given.max_boxes,
        top_k=given.top_k,
        quiet=given.quiet,
    )


def _formats(
    parser: argparse.ArgumentParser, text: str | None, *, classify: bool
) -> tuple[Format, ...]:
    if text is None:
        return () if classify else ("picture",)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            parser.error(f"argument --format: {name!r} is none of {', '.join(FORMATS)}")
    if classify and "picture" in names:
        parser.error("argument --format: a classification has no picture to write; json or csv")
    return tuple(cast("Format", name) for name in dict.fromkeys(names))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inference-client",
        description="Sends pictures to a model server and prints and writes what it finds in them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "-a",
        "--address",
        default="http://127.0.0.1:5000",
        metavar="URL",
        help="the server (default: %(default)s)",
    )
    add(
        "-i",
        "--image_path",
        "--image-path",
        required=True,
        nargs="+",
        metavar="PATH",
        help="picture, folder of pictures (with its subfolders), or - for standard input",
    )
    add(
        "-o",
        "--output_dir",
        "--output-dir",
        default="outputs/",
        metavar="FOLDER",
        help="where results are written (default: %(default)s); - prints one document",
    )
    add("--classify", action="store_true", help="ask what the picture shows, not where things are")
    add(
        "--format",
        metavar="KINDS",
        help="what to write: picture, json, csv, several with commas (default: picture)",
    )
    add(
        "--picture_format",
        "--picture-format",
        choices=("jpg", "png"),
        default="jpg",
        help="format of the annotated pictures (default: %(default)s)",
    )
    add(
        "--concurrency",
        type=_whole(1, 256),
        default=4,
        metavar="N",
        help="pictures in flight at the same time (default: %(default)s)",
    )
    add(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="time for one answer (default: %(default)s)",
    )
    add(
        "--retries",
        type=_whole(0, 100),
        default=4,
        metavar="N",
        help="further tries when the server is busy or not there (default: %(default)s)",
    )
    add(
        "--score_threshold",
        "--score-threshold",
        "--threshold",
        type=_fraction,
        metavar="SCORE",
        help="leave out detections with a lower score, 0 to 1 (default: the server's)",
    )
    add(
        "--max_boxes",
        "--max-boxes",
        type=_whole(1, 1000),
        metavar="N",
        help="detections in one answer at most (default: the server's)",
    )
    add(
        "--top_k",
        "--top-k",
        type=_whole(1, 1000),
        metavar="N",
        help="classes in one answer, with --classify (default: the server's)",
    )
    add("-q", "--quiet", action="store_true", help="print errors only")
    add("--version", action="version", version=f"inference-client {_version()}")
    return parser  # fmt: skip


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text) if text.strip().lstrip("-").isdecimal() else least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return value

    return whole_number


def _seconds(text: str) -> float:
    return _real(text, 0.001, 86_400, "a number of seconds above 0")


def _fraction(text: str) -> float:
    return _real(text, 0, 1, "a number from 0 to 1")


def _real(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _version() -> str:
    try:
        return version("inference-client")
    except PackageNotFoundError:  # run from a copy of the source
        return "(not installed)"
