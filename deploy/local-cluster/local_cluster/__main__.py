"""The `local-cluster` command: parses arguments, dispatches, and prints errors as one message."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster import background, images, kubectl, lifecycle, status
from local_cluster import state as states
from local_cluster.build import ensure_binary
from local_cluster.console import say
from local_cluster.errors import ClusterError
from local_cluster.layout import DEFAULT_FOLDER, layout_of
from local_cluster.state import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
DIR_HELP = "folder of the cluster; each folder is a separate cluster (default: .cluster)"

DESCRIPTION = """\
Runs a Kubernetes cluster for trying and testing the project: API server, controllers, scheduler,
and a node with containerd, Services, DNS and metrics. With --context it uses an existing cluster.
Where Docker and kind are installed it creates a kind cluster. Otherwise it builds Kubernetes once
from its Go modules and runs it in separate namespaces on this machine (Linux, root).
"""
EPILOG = """\
The folder .cluster holds the kubeconfig, the logs and state.json. Exit status: 0 success;
1 failure; 2 this machine is unsuitable. The message says why and what is needed.
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

    _add_up_options(command("up", "Start the cluster; does nothing if it is running", _up))
    command(
        "status", "Show the state of every component; exit status 1 unless all are healthy", _status
    )
    command("down", "Stop and delete the cluster; only its logs remain", _down)
    command("build", "Build the Kubernetes binary unless it is cached", _build)
    images_text = "Build the images that changed and load them into the cluster"
    _add_images_options(command("images", images_text, _images))
    command("env", "Print shell commands that point kubectl at the cluster", _env)
    run_kubectl = command(
        "kubectl", "Run kubectl against the cluster: `kubectl -- get pods`", _kubectl
    )
    run_kubectl.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGUMENT")
    return parser


def _add_up_options(up: argparse.ArgumentParser) -> None:
    up.add_argument("--context", default="", help="use the cluster of this kubeconfig context")
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="start only the API server and controllers: no node, no root, about 6 s",
    )


def _add_images_options(build: argparse.ArgumentParser) -> None:
    build.add_argument(
        "--variant",
        choices=sorted(images.VARIANTS),
        default="all",
        help="litert: operator and small model server; tensorflow: large one (default: all)",
    )
    build.add_argument(
        "--push", default="", metavar="REGISTRY", help="push to this registry instead of loading"
    )
    build.add_argument(
        "--background",
        action="store_true",
        help="return immediately; `local-cluster status` shows the progress",
    )
    build.add_argument(
        "--refresh-base", action="store_true", help="rebuild the base image with security updates"
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
    if options.background:
        arguments = ["--variant", options.variant]
        arguments += ["--push", options.push] if options.push else []
        arguments += ["--refresh-base"] if options.refresh_base else []
        with lifecycle.folder_lock(layout):
            background.start(layout, arguments)
        say("Building the images in the background; `local-cluster status` shows the progress")
        return 0
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
        message = f"there is no cluster in {layout.root}; run `local-cluster up` first"
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
        # The reader (`| head`) has closed the pipe. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except (lifecycle.Interrupted, KeyboardInterrupt):
        print("local-cluster: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
