"""kubectl as the tests use it: the same commands that a person types, with parsed answers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_cluster.kubectl import kubectl_command

Manifest = dict[str, Any]


class KubectlError(AssertionError):
    """kubectl exited non-zero; the message holds its standard error."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl bound to one kubeconfig and one namespace."""

    kubeconfig: Path
    namespace: str = "default"

    def in_namespace(self, namespace: str) -> Kubectl:
        """The same cluster, another namespace."""
        return Kubectl(self.kubeconfig, namespace)

    def command(self, *args: str) -> list[str]:
        """The full command line for `args`."""
        return [*kubectl_command(), "--namespace", self.namespace, *args]

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which kubectl finds the cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def try_run(
        self, *args: str, stdin: str | bytes | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; the caller looks at the return code."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            self.command(*args),
            input=data,
            stdin=None if data is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=self.environment,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def run(self, *args: str, stdin: str | bytes | None = None, timeout_s: float = 120) -> str:
        """Run kubectl and return its standard output.

        Raises:
            KubectlError: it exited non-zero.
        """
        done = self.try_run(*args, stdin=stdin, timeout_s=timeout_s)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *documents: Manifest | str) -> str:
        """`kubectl apply` of manifests, given as dicts or YAML text."""
        texts = [text if isinstance(text, str) else yaml.safe_dump(text) for text in documents]
        return self.run("apply", "-f", "-", stdin="\n---\n".join(texts))

    def patch(self, kind: str, name: str, body: Manifest) -> str:
        """Merge-patch one object."""
        return self.run("patch", kind, name, "--type=merge", "-p", json.dumps(body))

    def get(self, kind: str, name: str) -> Manifest | None:
        """One object, or None when there is none."""
        done = self.try_run("get", kind, name, "-o", "json", "--ignore-not-found")
        if done.returncode != 0:
            raise KubectlError(f"kubectl get {kind} {name}: {done.stderr.strip()}")
        parsed: Manifest | None = json.loads(done.stdout) if done.stdout.strip() else None
        return parsed

    def objects(self, kind: str, selector: str = "") -> Sequence[Manifest]:
        """All objects of a kind in the namespace, by label selector."""
        labels = ["-l", selector] if selector else []
        items: list[Manifest] = json.loads(self.run("get", kind, *labels, "-o", "json"))["items"]
        return items

    def table(self, kind: str, *args: str) -> list[dict[str, str]]:
        """`kubectl get KIND` as a person sees it: one dict a row, by column title."""
        lines = self.run("get", kind, *args).splitlines()
        if not lines:
            return []
        starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", lines[0])]
        titles = re.findall(r"\S+(?: \S+)*", lines[0])
        ends = [*starts[1:], None]
        return [
            {title: line[a:b].strip() for title, a, b in zip(titles, starts, ends, strict=True)}
            for line in lines[1:]
        ]

    @contextlib.contextmanager
    def port_forward(self, target: str, port: int = 80) -> Iterator[str]:
        """Forward a free local port to `target` (`svc/NAME`); yields the base address."""
        process = subprocess.Popen(
            self.command("port-forward", target, f":{port}", "--address", "127.0.0.1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            if match is None:
                process.terminate()
                raise KubectlError(f"port-forward {target}: {process.stderr.read().strip()}")
            yield f"http://127.0.0.1:{match.group(1)}"
        finally:
            process.terminate()
            process.wait(timeout=10)
            process.stdout.close()
            process.stderr.close()
