"""The `model-server` command line.

Flags are generated from the fields of `Settings`, so each has a single description. Subcommands are
imported only when chosen, so that `--help` and `download` start fast.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from model_server.errors import InvalidSettings, StartupError

_COMMANDS = {
    "serve": "serve models over HTTP and gRPC (the default)",
    "download": "download a model to a folder (used by the init container)",
    "optimize": "convert a SavedModel or Keras model to tflite and compare the results",
}
_DESCRIPTION = "Serve TensorFlow and LiteRT vision models over HTTP and gRPC."
_EPILOG = """\
examples:
  model-server
  model-server --model detect.tflite --labels labelmap.txt --name coco --port 5000
  model-server --models-dir /mnt/models
  curl --data-binary @photo.jpg http://localhost:5000/object_detection
  curl -F image=@dog.png http://localhost:5000/predict

Each flag can also be set by an environment variable: --max-body-bytes by
MODEL_SERVER_MAX_BODY_BYTES. Flags take precedence.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments without the program name. Default: those of this process.

    Returns:
        The exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = "serve"
    if arguments and not arguments[0].startswith("-"):
        command = arguments.pop(0)
    if command == "download":
        from model_server.download import main as download  # noqa: PLC0415 - see above

        return int(download(arguments))
    if command == "optimize":
        from model_server.optimize import main as optimize  # noqa: PLC0415 - see above

        return optimize(arguments)
    if command != "serve":
        known = ", ".join(_COMMANDS)
        print(
            f"model-server: unknown command {command!r}; the commands are {known}", file=sys.stderr
        )
        return 2
    return _serve(arguments)


def _serve(arguments: Sequence[str]) -> int:
    from model_server.logs import configure_logging  # noqa: PLC0415
    from model_server.process import server  # noqa: PLC0415 - see above
    from model_server.settings import load_settings, unknown_variables  # noqa: PLC0415

    flags = vars(_parser(described=bool({"-h", "--help"} & set(arguments))).parse_args(arguments))
    try:
        settings = load_settings(
            **{name: value for name, value in flags.items() if value is not None}
        )
    except InvalidSettings as error:
        server.report_failure(error)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    for name, meant in unknown_variables(os.environ).items():
        hint = f"; did you mean {meant}?" if meant else ""
        logging.getLogger("model_server").warning(
            "environment variable %s is not a setting%s", name, hint
        )
    try:
        return server.serve(settings)
    except StartupError as error:
        server.report_failure(error)
        return 2


def _parser(*, described: bool) -> argparse.ArgumentParser:
    """The flags. Descriptions are read from source, which is slow: only for `--help`."""
    from model_server.settings import defaults, descriptions, flag_of  # noqa: PLC0415

    texts = descriptions() if described else {}
    commands = "\n".join(f"  {name:10} {text}" for name, text in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="model-server",
        description=f"{_DESCRIPTION}\n\ncommands:\n{commands}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, default in defaults().items():
        parser.add_argument(
            flag_of(name), dest=name, metavar=_metavar(name), help=_help(texts.get(name), default)
        )
    return parser


def _metavar(name: str) -> str:
    return name.rpartition("_")[2].upper()


def _help(description: str | None, default: Any) -> str:
    text = " ".join((description or "").split()).replace("%", "%%")
    if isinstance(default, tuple):
        default = ",".join(default)
    return text if default in ("", None) else f"{text} (default: {default})"
