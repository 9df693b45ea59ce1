"""Parses the command line.

The first three flags are those of the object-detection article, with its short forms and defaults.
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

exit status: 0 success, 1 at least one picture failed, 2 invalid command line.
"""


@dataclass(frozen=True)
class Options:
    """The parsed command line.

    Attributes:
        output_dir: As the user wrote it; `-` is standard output.
        formats: Distinct formats to write.
        concurrency: Requests in flight at the same time.
        timeout: Seconds for one response.
        retries: Retries of one request.
        score_threshold: Minimum score, 0 to 1, or None for the server's default.
        max_boxes: Maximum number of detections, or None for the server's default.
        top_k: Number of classes, or None for the server's default.
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
    """Parses the flags; prints the usage and exits with status 2 if they are invalid."""
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
            parser.error(f"argument --format: {name!r} is not one of {', '.join(FORMATS)}")
    if classify and "picture" in names:
        parser.error("argument --format: --classify has no picture to write; use json or csv")
    return tuple(cast("Format", name) for name in dict.fromkeys(names))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inference-client",
        description="Send pictures to a model server, print and save the results.",
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
        help="address of the server (default: %(default)s)",
    )
    add(
        "-i",
        "--image_path",
        "--image-path",
        required=True,
        nargs="+",
        metavar="PATH",
        help="picture, folder of pictures (searched recursively), or - for standard input",
    )
    add(
        "-o",
        "--output_dir",
        "--output-dir",
        default="outputs/",
        metavar="FOLDER",
        help="folder for results (default: %(default)s), or - for standard output",
    )
    add("--classify", action="store_true", help="classify pictures instead of detecting objects")
    add(
        "--format",
        metavar="KINDS",
        help="what to write: picture, json, csv; separate several with commas (default: picture)",
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
        help="number of concurrent requests (default: %(default)s)",
    )
    add(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="timeout of one request (default: %(default)s)",
    )
    add(
        "--retries",
        type=_whole(0, 100),
        default=4,
        metavar="N",
        help="retries when the server is busy or unreachable (default: %(default)s)",
    )
    add(
        "--score_threshold",
        "--score-threshold",
        "--threshold",
        type=_fraction,
        metavar="SCORE",
        help="minimum score of detections, 0 to 1 (default: the server's)",
    )
    add(
        "--max_boxes",
        "--max-boxes",
        type=_whole(1, 1000),
        metavar="N",
        help="maximum number of detections (default: the server's)",
    )
    add(
        "--top_k",
        "--top-k",
        type=_whole(1, 1000),
        metavar="N",
        help="number of classes, with --classify (default: the server's)",
    )
    add("-q", "--quiet", action="store_true", help="print errors only")
    add("--version", action="version", version=f"inference-client {_version()}")
    return parser  # fmt: skip


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text) if text.strip().lstrip("-").isdecimal() else minimum - 1
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {minimum} to {maximum}"
            )
        return value

    return whole_number


def _seconds(text: str) -> float:
    return _real(text, 0.001, 86_400, "a number of seconds above 0")


def _fraction(text: str) -> float:
    return _real(text, 0, 1, "a number from 0 to 1")


def _real(text: str, minimum: float, maximum: float, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not minimum <= value <= maximum:
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return value


def _version() -> str:
    try:
        return version("inference-client")
    except PackageNotFoundError:  # run from the source
        return "(not installed)"
