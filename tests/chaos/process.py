"""The operator as a process of this machine, for tests that run many at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Self

import aiohttp
import yaml

from support.endings import ends_with_us
from support.operator_process import IMAGE, free_port

_START_SECONDS = 60.0


def kubeconfig_through(identity: Path, address: str, path: Path) -> Path:
    """The operator's identity, but by way of a proxy at `address`."""
    config = yaml.safe_load(identity.read_text())
    cluster = config["clusters"][0]["cluster"]
    cluster.pop("certificate-authority-data", None)
    cluster["server"] = address
    path.write_text(yaml.safe_dump(config))
    return path


class Process:
    """One operator process; ended when the `async with` block is left.

    Args:
        kubeconfig: How it reaches the API server.
        log: Where it writes to.
        settings: Its settings, without their prefix.
    """

    def __init__(self, kubeconfig: Path, log: Path, **settings: str) -> None:
        self.port = free_port()
        self.log = log
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(log.parent),
            "KUBECONFIG": str(kubeconfig),
            "INFERENCE_OPERATOR_HEALTH_PORT": str(self.port),
            "INFERENCE_OPERATOR_MODEL_SERVER_IMAGE": IMAGE,
            "INFERENCE_OPERATOR_MODEL_SERVER_TENSORFLOW_IMAGE": f"{IMAGE}-tensorflow",
            **{f"INFERENCE_OPERATOR_{name}": value for name, value in settings.items()},
        }

    async def __aenter__(self) -> Self:
        command = ends_with_us([sys.executable, "-m", "inference_operator", "run"])
        with self.log.open("ab") as stream:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=stream, stderr=stream, env=self._environment
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end(signal.SIGTERM)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def send(self, what: signal.Signals) -> None:
        """Send a signal to the process, by its own id."""
        if self.runs:
            self._process.send_signal(what)

    async def end(self, how: signal.Signals) -> None:
        """End the process; one that does not follow within half a minute is killed."""
        self.send(how)
        try:
            await asyncio.wait_for(self._process.wait(), 30)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """As a crash of the process, or a machine that loses its power."""
        await self.end(signal.SIGKILL)

    async def started(self) -> None:
        """Wait until it works.

        Raises:
            AssertionError: it has ended, or does not answer in time.
        """
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while await self.get("healthz") != "ok":
            assert self.runs, f"the operator has ended: {self.log.read_text()[-3000:]}"
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"the operator does not start: {self.log.read_text()[-3000:]}"
            await asyncio.sleep(0.05)

    async def get(self, what: str) -> str:
        """What it answers over HTTP, empty when it does not."""
        url = f"http://127.0.0.1:{self.port}/{what}"
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as one:
                return await one.text()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return ""

    async def leads(self) -> bool:
        """Whether it says that it is the one that works."""
        return "inference_operator_leader 1.0" in (await self.get("metrics")).splitlines()
