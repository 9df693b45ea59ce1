"""One control plane for the suite, and its figures at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.control_plane import control_plane, operator_kubeconfig
from support.kube import Kubectl

_FIGURE = "chaos figure"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        # One control plane for all of them.
        item.add_marker(pytest.mark.xdist_group("chaos"))
    if config.getoption("--chaos") != "whole":
        left_out = [item for item in here if item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == _FIGURE and getattr(report, "when", "") == "call"
    ]
    if figures:
        terminalreporter.section("chaos")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether everything is to be run, or what `make test` has time for."""
    return bool(request.config.getoption("--chaos") == "whole")


Figure = Callable[[str], None]


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Have a line printed after all tests."""
    return lambda line: record_property(_FIGURE, line)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """An API server of our own, with the resource and the operator's rights installed."""
    with control_plane(tmp_path_factory.mktemp("chaos") / "cluster") as kubectl:
        yield kubectl


@pytest.fixture(scope="session")
def identity(cluster: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig that is the operator's ServiceAccount."""
    return operator_kubeconfig(cluster, tmp_path_factory.mktemp("identity") / "kubeconfig")
