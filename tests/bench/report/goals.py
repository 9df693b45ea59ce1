"""The promises of the project as ratios of rows of one run, and whether the run kept them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench import stats
from bench.control import subjects
from bench.engines.run import OPTIMIZED, TENSORFLOW
from bench.record import Goal, Row
from bench.report import select
from bench.serving.contestants import ARTICLES, BATCHING, OURS, RAW, RAW_OPENCV, REDUCED

PINNED = "pinned"
# What a user gets who follows our advice, not a file made for the benchmark.
RECOMMENDED = OPTIMIZED
# A refusal slower than this was not "at once".
AT_ONCE_MS = 100.0


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Every goal, in the order in which the project lists them."""
    layouts = {row.get("layout") for row in rows if row.get("bench") == "serving"}
    pinned = PINNED if PINNED in layouts else "shared"
    serving = select.where(rows, bench="serving", layout=pinned)
    return [
        *_against_limit(serving),
        *_against_peers(serving),
        *_against_articles(serving),
        _engine(rows),
        _latency(serving),
        *_footprint(serving),
        *_overload(serving),
        *_operator(rows),
    ]


def at_least(name: str, ratio: float | None, bound: float, note: str = "") -> Goal:
    """A goal that a ratio must reach."""
    met = None if ratio is None else ratio >= bound
    return _goal(name, ratio, f">= {bound:g}", met, note)


def at_most(name: str, ratio: float | None, bound: float, note: str = "") -> Goal:
    """A goal that a ratio must not pass."""
    met = None if ratio is None else ratio <= bound
    return _goal(name, ratio, f"<= {bound:g}", met, note)


def _goal(name: str, ratio: float | None, goal: str, met: bool | None, note: str) -> Goal:
    shown = None if ratio is None else round(ratio, 3)
    return {"name": name, "ratio": shown, "goal": goal, "met": met, "note": note}


def _ratio(rows: Sequence[Row], above: str, below: str, **case: str) -> float | None:
    first, second = select.speed(rows, above, **case), select.speed(rows, below, **case)
    return stats.paired_ratio(first, second)


def _sizes(rows: Sequence[Row], model: str) -> list[str]:
    found = select.where(rows, contestant=OURS, kind="closed", model=model, task="answer")
    return list(dict.fromkeys(row["size"] for row in found)) or ["0.3MP"]


def _against_limit(rows: Sequence[Row]) -> list[Goal]:
    made = []
    for model, bound in (("resnet50", 0.95), ("detector", 0.90)):
        for size in _sizes(rows, model):
            case = {"model": model, "task": "answer", "size": size}
            name = f"{model} {size}: ours / raw engine, images per second"
            made.append(
                at_least(name, _ratio(rows, OURS, RAW, **case), bound, _inexact(rows, case))
            )
    return made


def _inexact(rows: Sequence[Row], case: dict[str, str]) -> str:
    """What giving up exactness would allow, and how much of that ours gives when asked to."""
    less = _ratio(rows, RAW_OPENCV, RAW, **case)
    if less is None:
        return ""
    reduced = _ratio(rows, REDUCED, RAW, **case)
    ours = "" if reduced is None else f", ours with reduced decoding {reduced:.2f}"
    return f"OpenCV's inexact pictures would allow {less:.2f}{ours}"


def _against_peers(rows: Sequence[Row]) -> list[Goal]:
    made = []
    for model in ("resnet50", "detector"):
        for size in _sizes(rows, model):
            case = {"model": model, "task": "answer", "size": size}
            peer = select.best_peer(rows, **case)
            ratio = _ratio(rows, OURS, peer, **case) if peer else None
            name = f"{model} {size}: ours / best peer, images per second"
            met = None if ratio is None else ratio > 1
            made.append(_goal(name, ratio, "> 1", met, f"the best peer is {peer}" if peer else ""))
    return made


def _against_articles(rows: Sequence[Row]) -> list[Goal]:
    classify = {"model": "resnet50", "task": "answer", "size": "0.3MP"}
    detect = {"model": "detector", "task": "article", "size": "0.3MP"}
    return [
        at_least(
            "resnet50: ours / the articles' way, images per second",
            _ratio(rows, OURS, ARTICLES, **classify),
            4,
        ),
        at_least(
            "detector: ours / the articles' way, images per second",
            _ratio(rows, OURS, ARTICLES, **detect),
            4,
            "both answer the article's JSON, annotated picture included",
        ),
    ]


def _engine(rows: Sequence[Row]) -> Goal:
    found = select.where(rows, bench="engine", kind="engine", model="resnet50")
    ours = select.where(found, contestant=RECOMMENDED)
    theirs = select.where(found, contestant=TENSORFLOW)
    ratio = stats.paired_ratio(
        select.by_round(ours, "images_per_second"), select.by_round(theirs, "images_per_second")
    )
    compared = [row for row in ours if "same_top1_photographs" in row]
    same = bool(compared) and all(
        row["same_top1_photographs"] == row["photographs"] for row in compared
    )
    goal = at_least(
        f"resnet50: {RECOMMENDED} / TensorFlow SavedModel, images per second, same top-1",
        ratio,
        2.5,
        _agreed(compared),
    )
    goal["met"] = None if goal["met"] is None else goal["met"] and same
    return goal


def _agreed(compared: Sequence[Row]) -> str:
    if not compared:
        return ""
    row = compared[-1]
    return (
        f"same top-1 on {row['same_top1_photographs']} of {row['photographs']} photographs, "
        f"{row['same_top1_pictures']} of {row['pictures']} with crops"
    )


def _latency(rows: Sequence[Row]) -> Goal:
    case = {"model": "detector", "task": "annotate", "size": "0.3MP", "kind": "closed"}
    ours = select.where(rows, contestant=BATCHING, concurrency=1, **case)
    limit = select.where(rows, contestant=RAW, processes=1, **case)
    ratio = stats.paired_ratio(select.by_round(ours, "p50_ms"), select.by_round(limit, "p50_ms"))
    name = "detector, one client, picture drawn and encoded: our p50 / the raw engine's"
    return at_most(name, ratio, 1.10, "batching asked for; this model takes one picture at a time")


def _footprint(rows: Sequence[Row]) -> list[Goal]:
    def start(contestant: str) -> dict[int, float]:
        found = select.where(rows, contestant=contestant, kind="start", model="detector")
        return select.by_round(found, "seconds")

    def memory(contestant: str) -> dict[int, float]:
        case = {"model": "detector", "task": "answer", "size": "0.3MP", "kind": "closed"}
        found = select.where(rows, contestant=contestant, **case)
        return select.by_round(found, "memory_mb")

    return [
        at_most(
            "detector: start to first right answer, ours / raw engine",
            stats.paired_ratio(start(OURS), start(RAW)),
            1.5,
        ),
        at_most(
            "detector: peak memory, ours / raw engine",
            stats.paired_ratio(memory(OURS), memory(RAW)),
            1.3,
        ),
    ]


def _overload(rows: Sequence[Row]) -> list[Goal]:
    made = []
    for model in ("detector", "resnet50"):
        found = select.where(rows, contestant=OURS, kind="overload", model=model)
        shares = [row["goodput_per_second"] / row["capacity_per_second"] for row in found]
        failed = sum(row["failed"] for row in found)
        slowest = select.largest(found, "refused_p99_ms")
        goal = at_least(
            f"{model}: goodput at three times the capacity / peak, the rest 503 at once",
            statistics.median(shares) if shares else None,
            0.95,
            f"{failed} failed otherwise; 99 % of refusals within {slowest} ms" if found else "",
        )
        if goal["met"] is not None:
            at_once = slowest is not None and slowest <= AT_ONCE_MS
            goal["met"] = goal["met"] and failed == 0 and at_once
        made.append(goal)
    return made


def _operator(rows: Sequence[Row]) -> list[Goal]:
    found = select.where(rows, bench="operator")
    ours = {
        row["services"]: row
        for row in select.where(found, kind="operator", contestant=subjects.OURS)
    }
    made = [
        at_least(
            f"operator, {count} services: rate / bare server-side apply",
            row["per_second"] / limit if (limit := _bare(found, count)) else None,
            0.80,
            _with_resource(found, row),
        )
        for count, row in sorted(ours.items())
    ] or [at_least("operator: rate / bare server-side apply", None, 0.80)]
    rates = {count: row["per_second"] for count, row in ours.items()}
    growth = rates[2000] / rates[100] if {100, 2000} <= rates.keys() else None
    idle = [row["idle_writes"] for row in ours.values() if row.get("idle_writes") is not None]
    most = ours[max(ours)] if ours else {}
    return [
        *made,
        at_least("operator: rate at 2000 services / rate at 100", growth, 0.9),
        at_most("operator: writes while idle", max(idle) if idle else None, 0),
        at_most(
            "operator: MB per 1000 services over the empty operator", most.get("mb_per_1000"), 10
        ),
    ]


def _bare(rows: Sequence[Row], count: int, *, resource: bool = False) -> float | None:
    """The bare client's rate at its better number of workers."""
    found = select.where(rows, kind="bare", services=count, with_resource=resource)
    return select.largest(found, "per_second")


def _with_resource(rows: Sequence[Row], row: Row) -> str:
    limit = _bare(rows, row["services"], resource=True)
    if not limit:
        return ""
    return f"{row['per_second'] / limit:.2f} when the bare client creates the resources too"
