"""Which plots are drawn of a run; their shapes are ``svg``'s business. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from bench.control import subjects
from bench.engines.run import OPTIMIZED
from bench.record import Row
from bench.report import select, svg
from bench.report.svg import Bar
from bench.serving.contestants import BATCHING, LIMITS, OURS, REDUCED


def plots(rows: Sequence[Row]) -> dict[str, str]:
    """File name to SVG text, for what was measured."""
    made = {}
    serving = select.where(rows, bench="serving", layout="pinned")
    for model in ("detector", "resnet50"):
        case = {"model": model, "task": "answer", "size": "0.3MP"}
        if select.where(serving, kind="closed", **case):
            made[f"serving-{model}.svg"] = _speed(serving, case)
            made[f"latency-{model}.svg"] = _latency(serving, case)
            made[f"overload-{model}.svg"] = _overload(serving, case)
    sizes = _sizes(serving)
    if sizes:
        made["picture-size.svg"] = sizes
    engines = select.where(rows, bench="engine", kind="engine", model="resnet50")
    if engines:
        made["engines.svg"] = _engines(engines)
    operator = select.where(rows, bench="operator")
    if operator:
        made["operator.svg"] = _operator(operator)
    return made


def _colour(name: str) -> str:
    if name in {OURS, BATCHING, REDUCED}:
        return svg.OURS
    return svg.LIMIT if name in LIMITS else svg.PEER


def _sorted(entries: Sequence[Bar]) -> list[Bar]:
    return sorted(entries, key=lambda entry: -entry.value)


def _speed(rows: Sequence[Row], case: dict[str, Any]) -> str:
    entries = []
    for name in select.contestants(rows, **case):
        speeds = select.speed(rows, name, **case)
        if speeds and name != BATCHING:
            entries.append(Bar(name, statistics.median(speeds.values()), colour=_colour(name)))
    title = f"{case['model']}, {case['size']} photographs: JPEG in, labels out"
    return svg.bars(title, "images per second at the best concurrency", _sorted(entries))


def _latency(rows: Sequence[Row], case: dict[str, Any]) -> str:
    series = {}
    for name in select.contestants(rows, **case):
        if name in {*LIMITS, BATCHING}:
            continue
        found = select.where(rows, kind="closed", contestant=name, **case)
        points = [
            (float(clients), value)
            for clients in sorted({row["concurrency"] for row in found})
            if (value := select.median(select.where(found, concurrency=clients), "p99_ms"))
        ]
        if points:
            series[name] = points
    axes = ("clients that ask at once", "99th percentile, ms")
    return svg.lines(f"{case['model']}, {case['size']}: latency under load", axes, series)


def _overload(rows: Sequence[Row], case: dict[str, Any]) -> str:
    entries = []
    for name in dict.fromkeys(row["contestant"] for row in select.where(rows, kind="overload")):
        found = select.where(rows, kind="overload", contestant=name, **case)
        shares = [row["goodput_per_second"] / row["capacity_per_second"] for row in found]
        if shares and name != BATCHING:
            failed = sum(row["failed"] for row in found) / sum(row["requests"] for row in found)
            delay = select.median(found, "p99_ms")
            note = f"p99 {delay / 1000:.2g} s" if delay else ""
            note += f", {failed:.0%} failed" if failed else ""
            entries.append(Bar(name, statistics.median(shares), note, _colour(name)))
    title = f"{case['model']}: three times more requests than it can answer"
    return svg.bars(title, "right answers per second, as a share of its own peak", _sorted(entries))


def _sizes(rows: Sequence[Row]) -> str | None:
    series: dict[str, list[tuple[float, float]]] = {}
    for size, megapixels in (("0.3MP", 0.3), ("2MP", 2.0), ("12MP", 12.0)):
        case = {"model": "detector", "task": "answer", "size": size}
        for name in select.contestants(rows, **case):
            speeds = select.speed(rows, name, **case)
            if speeds and name != BATCHING:
                point = (megapixels, statistics.median(speeds.values()))
                series.setdefault(name, []).append(point)
    whole = {name: points for name, points in series.items() if len(points) > 1}
    if not whole:
        return None
    return svg.lines(
        "detector: how speed falls with the picture", ("megapixels", "images/s"), whole
    )


def _engines(rows: Sequence[Row]) -> str:
    entries = []
    for name in dict.fromkeys(row["contestant"] for row in rows):
        one = select.where(rows, contestant=name)
        value = select.median(one, "images_per_second")
        start, memory = select.median(one, "start_seconds"), select.largest(one, "memory_mb")
        if value is not None:
            colour = svg.OURS if name == OPTIMIZED else svg.PEER
            entries.append(Bar(name, value, f"start {start:.2g} s, {memory:.0f} MB", colour))
    return svg.bars("ResNet50-224 by engine, batch 1", "images per second", _sorted(entries))


def _operator(rows: Sequence[Row]) -> str:
    entries = []
    for count in sorted({row["services"] for row in rows}):
        limit = select.largest(
            select.where(rows, kind="bare", services=count, with_resource=False), "per_second"
        )
        if limit:
            entries.append(Bar(f"{count}: bare client", limit, colour=svg.LIMIT))
        for name, short in ((subjects.OURS, "ours"), (subjects.NAIVE, "naive kopf")):
            found = select.where(rows, kind="operator", services=count, contestant=name)
            if found:
                colour = svg.OURS if name == subjects.OURS else svg.PEER
                entries.append(Bar(f"{count}: {short}", found[-1]["per_second"], colour=colour))
    return svg.bars("Services created at once", "services per second with all children", entries)
