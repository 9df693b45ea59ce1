"""A real browser without a window: Chromium, steered through Playwright.

Chromium comes from the system; where it is missing and we may, it is installed, after saying so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    # Chromium's own sandbox needs what containers and root do not have; it only meets our page.
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)

_CHROMIUMS_OWN = re.compile(r"responded with a status of 4\d\d|willReadFrequently")


def find_chromium() -> str:
    """Path of Chromium or Chrome, installed with apt if there is none; skips the test if not."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing chromium with apt-get for the tests of the page", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
        # One broken source among several, or another update at the same time, need not matter.
        subprocess.run([*apt, "update"], env=quiet, check=False, stdout=sys.stderr)
        install = [*apt, "install", "--no-install-recommends", "chromium"]
        subprocess.run(install, env=quiet, check=True, stdout=sys.stderr)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium or Chrome is installed, and it cannot be installed from here")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Runs a browser for the length of a `with` block."""
    path = find_chromium()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield running
        finally:
            running.close()


@contextmanager
def context(running: Browser, origin: str, scheme: str = "light") -> Iterator[BrowserContext]:
    """A fresh profile that reaches nothing but `origin`; fails at the end if anything was wrong.

    Wrong is an error in the page's scripts, a line on its console, or a request elsewhere. Two
    lines are Chromium's own: of a 4xx answer, and of a test that reads the canvas.
    """
    problems: list[str] = []
    made = running.new_context(
        viewport={"width": 1280, "height": 860},
        color_scheme="dark" if scheme == "dark" else "light",
        permissions=["camera", "clipboard-read", "clipboard-write"],
    )
    made.on("weberror", lambda error: problems.append(f"error: {error.error}"))
    made.on(
        "console",
        lambda line: (
            None
            if _CHROMIUMS_OWN.search(line.text)
            else problems.append(f"console: {line.type} {line.text}")
        ),
    )
    made.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((origin, "blob:"))
            else problems.append(f"request: {request.url}")
        ),
    )
    try:
        yield made
    finally:
        made.close()
    assert not problems, problems
