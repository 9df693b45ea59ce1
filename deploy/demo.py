"""The main job, shown: apply an InferenceService, wait, send a picture, show the answer.

Every step is a command that the person could have typed, and is printed as such. It needs a
cluster with the operator (`make demo` sees to that) and leaves the InferenceService running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "deploy" / "examples" / "detector.yaml"
PICTURE = Path("deploy/examples/images/whiteboard.jpg")
KIND = "inferenceservices.inference-operator.dev"


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def kubectl_command() -> list[str]:
    """The kubectl on PATH, or the one that the local cluster's own binary holds."""
    if shutil.which("kubectl"):
        return ["kubectl"]
    return [str(Path(sys.executable).with_name("local-cluster")), "kubectl", "--"]


def kubectl(*args: str, stdin: str | None = None) -> str:
    """Run kubectl quietly and return what it printed.

    Raises:
        DemoError: it exited non-zero.
    """
    done = subprocess.run(
        [*kubectl_command(), *args], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DemoError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def show(command: str) -> None:
    """Print a command as a person would have typed it."""
    print(f"\n$ {command}", flush=True)


def manifest(model: str | None) -> tuple[str, str]:
    """Name and YAML of the InferenceService to apply."""
    if model is None:
        text = EXAMPLE.read_text()
        name = re.search(r"^  name: (\S+)", text, re.MULTILINE)
        if name is None:
            raise DemoError(f"{EXAMPLE}: has no metadata.name")
        return name.group(1), text
    text = (
        "apiVersion: inference-operator.dev/v1beta1\nkind: InferenceService\n"
        "metadata:\n  name: demo-model\nspec:\n  predictor:\n    model:\n"
        f"      storageUri: {json.dumps(model)}\n"
    )
    return "demo-model", text


def ready_condition(name: str) -> tuple[bool, str]:
    """Whether the resource is Ready for its newest generation, and what to print."""
    service: dict[str, Any] = json.loads(kubectl("get", KIND, name, "-o", "json"))
    status = service.get("status", {})
    ready: dict[str, Any] = next(
        (c for c in status.get("conditions", []) if c["type"] == "Ready"), {}
    )
    current = ready.get("observedGeneration") == service["metadata"]["generation"]
    state = ready.get("reason", "waiting for the operator")
    message = ready.get("message", "")
    done = current and ready.get("status") == "True"
    return done, f"{state}: {message}" if message else state


def wait_ready(name: str, timeout_s: float) -> None:
    """Wait until the resource is Ready, printing each new state with the time it took.

    Raises:
        DemoError: not Ready within `timeout_s` seconds.
    """
    begin = time.monotonic()
    shown = ""
    while True:
        done, state = ready_condition(name)
        elapsed = time.monotonic() - begin
        if done:
            print(f"  {elapsed:5.1f} s  Ready")
            return
        if state != shown:
            print(f"  {elapsed:5.1f} s  {state}", flush=True)
            shown = state
        if elapsed > timeout_s:
            raise DemoError(
                f"InferenceService {name} was not Ready within {timeout_s:.0f} s; the last state "
                f"was: {state}. Look further with: kubectl describe inferenceservice {name}"
            )
        time.sleep(0.3)


@contextlib.contextmanager
def port_forward(service: str) -> Iterator[str]:
    """Forward a free local port to a Service; yields the address.

    Raises:
        DemoError: kubectl could not forward.
    """
    command = [*kubectl_command(), "port-forward", f"service/{service}", ":80"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        assert process.stderr is not None  # noqa: S101 - PIPE was asked for
        try:
            match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            if match is None:
                process.terminate()
                raise DemoError(f"kubectl port-forward: {process.stderr.read().strip()}")
            yield f"http://127.0.0.1:{match.group(1)}"
        finally:
            process.terminate()


def send(address: str, picture: Path, output: Path) -> None:
    """Send the picture with the project's own client and let it print.

    Raises:
        DemoError: the client failed; it has said why.
    """
    flags = ["--address", address, "--image_path", str(picture), "--output_dir", str(output)]
    show("uv run inference-client " + " ".join(flags))
    client = str(Path(sys.executable).with_name("inference-client"))
    if subprocess.run([client, *flags], check=False).returncode != 0:
        raise DemoError("the picture got no answer (see the line above)")
    written = max(output.iterdir(), key=lambda path: path.stat().st_mtime)
    print(f"the picture with the boxes: {written}")


def next_steps(name: str, kubeconfig: str | None) -> str:
    """What a person may want to do now."""
    setup = f"export KUBECONFIG={kubeconfig}" if kubeconfig else "(kubectl is set up already)"
    return f"""
How to go on
  your own picture    make demo IMAGE=path/to/picture.jpg
  your own model      make demo MODEL=https://example.com/detector.zip
  look around         {setup}
                      kubectl get inferenceservices,deployments,services,hpa
  in the browser      kubectl port-forward service/{name}-predictor 8080:80
                      then open http://127.0.0.1:8080
  clean up            kubectl delete inferenceservice {name}; make cluster-down"""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=PICTURE, help="the picture to send")
    parser.add_argument("--model", help="storageUri of another model (default: the bundled one)")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="where to write")
    parser.add_argument("--timeout", type=float, default=300, help="seconds to wait for Ready")
    return parser.parse_args()


def main() -> int:
    """Run the demo; returns the exit status."""
    arguments = parse_arguments()
    try:
        if not arguments.image.is_file():
            raise DemoError(f"IMAGE={arguments.image}: there is no such file")
        name, text = manifest(arguments.model)
        shown = EXAMPLE.relative_to(ROOT) if arguments.model is None else "-"
        show(f"kubectl apply -f {shown}")
        print("".join(f"  | {line}\n" for line in text.splitlines()), end="")
        print(kubectl("apply", "-f", "-", stdin=text), end="")
        show(f"kubectl wait --for=condition=Ready inferenceservice/{name}")
        wait_ready(name, arguments.timeout)
        show(f"kubectl port-forward service/{name}-predictor :80 &")
        with port_forward(f"{name}-predictor") as address:
            send(address, arguments.image, arguments.output)
        show("kubectl get inferenceservices")
        print(kubectl("get", KIND), end="")
        print(next_steps(name, os.environ.get("KUBECONFIG")))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the InferenceService stays as it is", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
