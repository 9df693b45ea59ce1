"""The command line: `inference-operator run | render FILE | version`.

Errors become one line on standard error and an exit status.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from inference_operator import __version__
from inference_operator.errors import OperatorError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except OperatorError as error:
        print(f"inference-operator: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Build the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="inference-operator",
        description="Reconciles InferenceService resources into Kubernetes workloads.",
    )
    parser.set_defaults(command=run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    start = commands.add_parser("run", help="run the operator (the default)")
    start.set_defaults(command=run)
    show = commands.add_parser("render", help="print manifests, without a cluster")
    show.add_argument("file", type=Path, help="YAML file with InferenceServices, or - for stdin")
    show.set_defaults(command=render)
    about = commands.add_parser("version", help="print the version")
    about.set_defaults(command=version)
    return parser


def run(_: argparse.Namespace) -> int:
    """Run the operator until it is stopped."""
    # Imported lazily, so that `render` and `version` do not wait for kopf.
    from inference_operator.app.handlers import run_operator  # noqa: PLC0415
    from inference_operator.config import Config  # noqa: PLC0415
    from inference_operator.logs import configure_logging  # noqa: PLC0415

    config = Config.from_environment()
    configure_logging(config.log_format)
    asyncio.run(run_operator(config))
    return 0


def render(options: argparse.Namespace) -> int:
    """Print the manifests of the InferenceServices in a file."""
    from inference_operator.app.render import render_file  # noqa: PLC0415

    print(render_file(options.file), end="")
    return 0


def version(_: argparse.Namespace) -> int:
    """Print the version."""
    print(__version__)
    return 0
