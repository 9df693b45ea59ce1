"""Applies an InferenceService, waits until it is ready, sends a picture and shows the answer.

Prints every step as the command that a person would type. Needs a cluster with the operator, which
`make demo` provides, and leaves the InferenceService running.
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
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local_cluster.errors import ClusterError
from local_cluster.kubectl import kubectl_command

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "deploy" / "examples" / "detector.yaml"
IMAGE = Path("deploy/examples/images/whiteboard.jpg")
KIND = "inferenceservices.inference-operator.dev"
SCHEMES = ("http", "https", "s3", "gs", "oci", "pvc", "bundled")
FORMATS = ("tflite", "savedmodel", "keras")
DEFAULT_FORMAT = "tflite"
FORMAT_OF_SUFFIX = {".tflite": "tflite", ".keras": "keras", ".h5": "keras", ".hdf5": "keras"}
# How the model server names the format that it found, in the messages of InvalidModel.
FORMAT_FOUND = re.compile(r"InvalidModel: .*\b(savedmodel|keras|tflite) model\b")
# In the project's folder, where `make` and people run.
LOCAL_CLUSTER = ".venv/bin/local-cluster"


class DemoError(Exception):
    """The demo cannot continue; the message says why and what to do."""


class WrongFormat(DemoError):
    """The model is in another format than the InferenceService says.

    Attributes:
        found: the format of the model.
    """

    def __init__(self, found: str, state: str) -> None:
        super().__init__(state)
        self.found = found


@dataclass(frozen=True)
class Demo:
    """What to apply: the resource's name, its YAML, and the model's format ("" if unknown)."""

    name: str
    manifest: str
    model_format: str


def typed(arguments: str) -> str:
    """The kubectl command that a person would type."""
    program = "kubectl" if shutil.which("kubectl") else f"{LOCAL_CLUSTER} kubectl --"
    return f"{program} {arguments}"


def show(command: str) -> None:
    """Print a command as a person would type it."""
    print(f"\n$ {command}", flush=True)


def kubectl(*args: str, stdin: str | None = None) -> str:
    """Run kubectl quietly and return what it printed.

    Raises:
        DemoError: kubectl failed.
    """
    command = [*kubectl_command(), *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def format_of(model: str) -> str:
    """The format that a model's URI tells by its ending; empty for archives and folders."""
    return FORMAT_OF_SUFFIX.get(Path(urlsplit(model).path).suffix.lower(), "")


def choose_demo(model: str | None, model_format: str) -> Demo:
    """The example, or an InferenceService for the user's model.

    Raises:
        DemoError: the model is not a URI that the operator supports.
    """
    if not model:
        text = EXAMPLE.read_text()
        name = re.search(r"^  name: (\S+)", text, re.MULTILINE)
        if name is None:
            raise DemoError(f"{EXAMPLE}: metadata.name is missing")
        return Demo(name.group(1), text, "tflite")
    if urlsplit(model).scheme not in SCHEMES:
        raise DemoError(
            f"MODEL={model}: expected a URI that pods can read, starting with "
            f"{', '.join(f'{scheme}://' for scheme in SCHEMES)}"
        )
    return demo_of_model(model, model_format or format_of(model))


def demo_of_model(model: str, model_format: str) -> Demo:
    """An InferenceService for a model; the operator chooses the format where it is empty."""
    lines = [
        "apiVersion: inference-operator.dev/v1beta1",
        "kind: InferenceService",
        "metadata:",
        "  name: demo-model",
        "spec:",
        "  predictor:",
        "    model:",
        *(["      modelFormat:", f"        name: {model_format}"] if model_format else []),
        f"      storageUri: {json.dumps(model)}",
    ]
    return Demo("demo-model", "\n".join(lines) + "\n", model_format)


def provide_tensorflow_image(registry: str, *, background: bool) -> None:
    """Have the tensorflow image built and brought to the cluster.

    Raises:
        DemoError: the build failed; it has printed why.
    """
    command = [str(Path(sys.executable).with_name("local-cluster")), "images"]
    command += ["--variant", "tensorflow", *(["--push", registry] if registry else [])]
    command += ["--background"] if background else []
    if subprocess.run(command, check=False).returncode != 0:
        raise DemoError("the tensorflow image is not available (see above)")


def apply(demo: Demo) -> None:
    """Apply the InferenceService and show it."""
    is_example = demo.manifest == EXAMPLE.read_text()
    show(typed(f"apply -f {EXAMPLE.relative_to(ROOT) if is_example else '-'}"))
    print("".join(f"  | {line}\n" for line in demo.manifest.splitlines()), end="")
    print(kubectl("apply", "-f", "-", stdin=demo.manifest), end="")


def ready_condition(name: str) -> tuple[bool, str]:
    """Whether the resource is Ready in its current generation, and its state in words."""
    service: dict[str, Any] = json.loads(kubectl("get", KIND, name, "-o", "json"))
    status = service.get("status", {})
    ready: dict[str, Any] = next(
        (c for c in status.get("conditions", []) if c["type"] == "Ready"), {}
    )
    if ready.get("observedGeneration") != service["metadata"]["generation"]:
        return False, "waiting for the operator"
    # A Ready service has no reason.
    state = ": ".join(filter(None, (ready.get("reason"), ready.get("message"))))
    return ready.get("status") == "True", state


def wait_ready(demo: Demo, timeout_s: float) -> None:
    """Wait until the resource is Ready, printing each new state with the elapsed time.

    Raises:
        WrongFormat: the model is in another format.
        DemoError: not Ready within `timeout_s` seconds.
    """
    begin = time.monotonic()
    shown = ""
    while True:
        ready, state = ready_condition(demo.name)
        elapsed = time.monotonic() - begin
        if ready:
            print(f"  {elapsed:5.1f} s  Ready")
            return
        if state != shown:
            print(f"  {elapsed:5.1f} s  {state}", flush=True)
            shown = state
        found = FORMAT_FOUND.search(state)
        if found and found.group(1) != (demo.model_format or DEFAULT_FORMAT):
            raise WrongFormat(found.group(1), state)
        if elapsed > timeout_s:
            raise DemoError(
                f"InferenceService {demo.name} is not Ready after {timeout_s:.0f} s: {state}. "
                f"For details, run: {typed(f'describe inferenceservice {demo.name}')}"
            )
        time.sleep(0.3)


def serve(demo: Demo, arguments: argparse.Namespace) -> None:
    """Apply the InferenceService and wait until it is ready.

    Raises:
        WrongFormat: the model is in another format.
        DemoError: it does not become Ready.
    """
    if demo.model_format in {"savedmodel", "keras"}:
        provide_tensorflow_image(arguments.registry, background=False)
    apply(demo)
    show(typed(f"wait --for=condition=Ready inferenceservice/{demo.name}"))
    wait_ready(demo, arguments.timeout)


@contextlib.contextmanager
def port_forward(service: str) -> Iterator[str]:
    """Forward a free local port to a Service; yields the URL.

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


def task_of(url: str, name: str) -> str:
    """The model's task, as KServe V1's model metadata tells it.

    Raises:
        DemoError: the server does not answer.
    """
    try:
        with urllib.request.urlopen(f"{url}/v1/models/{name}", timeout=30) as response:  # noqa: S310
            return str(json.load(response).get("task", ""))
    except (OSError, ValueError) as error:
        raise DemoError(f"{url}/v1/models/{name}: {error}") from error


def send(url: str, image: Path, output: Path, task: str) -> None:
    """Send the picture with the project's client, which prints the answer.

    Raises:
        DemoError: the client failed; it has printed why.
    """
    flags = ["--address", url, "--image_path", str(image)]
    flags += ["--classify"] if task == "classification" else ["--output_dir", str(output)]
    show("uv run inference-client " + " ".join(flags))
    client = str(Path(sys.executable).with_name("inference-client"))
    if subprocess.run([client, *flags], check=False).returncode != 0:
        raise DemoError("the server did not answer (see above)")
    if task != "classification":
        written = max(output.iterdir(), key=lambda path: path.stat().st_mtime)
        print(f"The picture with boxes: {written}")


def is_page(url: str) -> bool:
    """Whether this machine reaches the model server's page at a URL."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http only
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def next_steps(name: str, kubeconfig: str | None) -> str:
    """What to try next, and where to open the page."""
    setup = [f"export KUBECONFIG={kubeconfig}"] if kubeconfig else []
    if not shutil.which("kubectl"):
        setup.append(
            f'alias kubectl="{ROOT / LOCAL_CLUSTER} kubectl --"   # kubectl is not installed'
        )
    cluster_ip = kubectl("get", "service", f"{name}-predictor", "-o", "jsonpath={.spec.clusterIP}")
    url = f"http://[{cluster_ip}]" if ":" in cluster_ip else f"http://{cluster_ip}"
    page = f"Open {url} to try the model in a browser on this machine."
    if not is_page(url):
        forward = typed(f"port-forward service/{name}-predictor 8080:80")
        page = f"Run `{forward}`, then open http://127.0.0.1:8080 to try the model in a browser."
    lines = [
        "Next steps",
        "  use your own picture make demo IMAGE=path/to/picture.jpg",
        "  use your own model   make demo MODEL=https://example.com/model.keras",
        "  look around          " + "\n                       ".join(setup),
        "                       kubectl get inferenceservices,deployments,services,hpa",
        f"  clean up             kubectl delete inferenceservice {name}",
        "                       make cluster-down",
    ]
    return "\n" + "\n".join(lines) + f"\n\n{page}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=IMAGE, help="picture to send")
    parser.add_argument("--model", help="storageUri of your model (default: the bundled detector)")
    parser.add_argument(
        "--format", choices=FORMATS, default="", help="format of the model (default: detected)"
    )
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for results")
    parser.add_argument("--timeout", type=float, default=300, help="seconds to wait for Ready")
    parser.add_argument("--registry", default="", help="push the tensorflow image there")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> str:
    """The demo; returns the name of the InferenceService.

    Raises:
        DemoError: a step failed.
        ClusterError: there is no kubectl.
    """
    if not arguments.image.is_file():
        raise DemoError(f"IMAGE={arguments.image}: no such file")
    demo = choose_demo(arguments.model, arguments.format)
    try:
        serve(demo, arguments)
    except WrongFormat as error:
        if demo.model_format:
            raise DemoError(f"{error}: add FORMAT={error.found}") from error
        print(f"It is a {error.found} model, so it is applied again with that format.")
        serve(demo_of_model(arguments.model, error.found), arguments)
    show(typed(f"port-forward service/{demo.name}-predictor :80 &"))
    with port_forward(f"{demo.name}-predictor") as url:
        task = task_of(url, demo.name)
        if task in {"detection", "classification"}:
            send(url, arguments.image, arguments.output, task)
        else:
            print("The model neither detects nor classifies, so no picture was sent to it.")
    show(typed("get inferenceservices"))
    print(kubectl("get", KIND), end="")
    return demo.name


def main() -> int:
    """Run the demo; returns the exit status."""
    arguments = parse_arguments()
    try:
        try:
            name = run(arguments)
        finally:
            # Also after a failure: the next service may be a Keras model.
            provide_tensorflow_image(arguments.registry, background=True)
        print(next_steps(name, os.environ.get("KUBECONFIG")))
    except (DemoError, ClusterError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the InferenceService keeps running", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
