"""The `local-cluster` command: reads arguments, calls the rest, turns errors into one message."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import images, kubectl, lifecycle, status
from local_cluster import state as states
from local_cluster.build import ensure_binary
from local_cluster.console import say
from local_cluster.errors import ClusterError
from local_cluster.layout import DEFAULT_FOLDER, layout_of
from local_cluster.state import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
DIR_HELP = "the cluster's folder; another folder is another cluster (default: .cluster)"

DESCRIPTION = """\
A Kubernetes cluster to try the project on: API server, controllers, scheduler, a node with
containerd, Services, DNS, metrics. Where Docker and kind are installed, kind makes it; with
--context it is a cluster of yours; otherwise it is our own, built once from Go modules and run
in namespaces of its own on this Linux machine (needs root).
"""
EPILOG = """\
Files are in .cluster (kubeconfig, logs, state.json). Exit status: 0 done; 1 failed, the message
says why; 2 this machine cannot do it, the message says what is needed.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local-cluster",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, text: str, run: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, metavar="PATH", help=DIR_HELP)
        sub.set_defaults(run=run)
        return sub

    _add_up_options(command("up", "Start the cluster; does nothing when it runs", _up))
    command("status", "Say what of the cluster runs; status 1 unless all is well", _status)
    command("down", "Stop the cluster and leave nothing of it but its logs", _down)
    command("build", "Build the Kubernetes binary, if it is not in the cache", _build)
    images_text = "Build the images that changed, load them into the cluster"
    _add_images_options(command("images", images_text, _images))
    command("env", "Print shell lines that point kubectl at the cluster", _env)
    run_kubectl = command("kubectl", "Run kubectl on the cluster: `kubectl -- get pods`", _kubectl)
    run_kubectl.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGUMENT")
    return parser


def _add_up_options(up: argparse.ArgumentParser) -> None:
    up.add_argument("--context", default="", help="use this kubeconfig context instead")
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="only the API server and its controllers: no node, no root, about 6 s",
    )


def _add_images_options(build: argparse.ArgumentParser) -> None:
    build.add_argument(
        "--variant",
        choices=sorted(images.VARIANTS),
        default="all",
        help="litert: operator and small model server; tensorflow: the large one (default: all)",
    )
    build.add_argument("--push", default="", metavar="REGISTRY", help="push there, load nowhere")
    build.add_argument(
        "--refresh-base", action="store_true", help="make the base image anew, with updates"
    )


def _up(options: argparse.Namespace) -> int:
    profile = Profile.CONTROL_PLANE if options.control_plane_only else Profile.FULL
    lifecycle.up(layout_of(options.dir), profile, options.context)
    return 0


def _status(options: argparse.Namespace) -> int:
    return 0 if status.show(layout_of(options.dir)) else 1


def _down(options: argparse.Namespace) -> int:
    lifecycle.down(layout_of(options.dir))
    return 0


def _build(_options: argparse.Namespace) -> int:
    say(str(ensure_binary()))
    return 0


def _images(options: argparse.Namespace) -> int:
    layout = layout_of(options.dir)
    references = images.provide_images(
        layout,
        states.load(layout.state),
        options.variant,
        registry=options.push,
        refresh=options.refresh_base,
    )
    for name, reference in references.items():
        say(f"{name:<26}{reference}")
    return 0


def _env(options: argparse.Namespace) -> int:
    layout = layout_of(options.dir)
    if not layout.kubeconfig.exists():
        message = f"there is no cluster in {layout.root}; start one with `local-cluster up`"
        raise ClusterError(message)
    say(f'export KUBECONFIG="{layout.kubeconfig}"')
    return 0


def _kubectl(options: argparse.Namespace) -> int:
    rest = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    kubectl.replace_process(rest, layout_of(options.dir).kubeconfig)
    return 0


def main() -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args()
    os.umask(0o022)
    try:
        return int(options.run(options))
    except ClusterError as error:
        print(f"local-cluster: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output (`| head`) has seen enough; Python must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except (lifecycle.Interrupted, KeyboardInterrupt):
        print("local-cluster: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
