"""Writes the table and the plots of a run."""

from __future__ import annotations

from bench import paths
from bench.paired.figures import put_into, section
from bench.record import Results
from bench.report.goals import goals
from bench.report.plots import plots
from bench.report.reasons import parse, problems
from bench.report.table import page


def write(results: Results, *, publish: bool) -> list[str]:
    """Compute the goals into the results; with ``publish``, replace the table and the plots.

    A partial run has no business in the committed table, so it only prints.

    Returns:
        What is wrong with the reasons for missed goals.
    """
    results.goals = goals(results.rows)
    results.save()
    reasons = parse(paths.REASONS.read_text(encoding="utf-8"))
    text = page(results.goals, results.rows, results.machine, reasons)
    text = put_into(text, section(paths.FIGURES))
    target = paths.TABLE if publish else results.path.with_name("BENCHMARKS.md")
    target.write_text(text, encoding="utf-8")
    folder = paths.PLOTS if publish else results.path.with_name("plots")
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in plots(results.rows).items():
        (folder / name).write_text(drawing, encoding="utf-8")
    print(f"Results: {results.path}\nTable: {target}\nPlots: {folder}")
    for goal in results.goals:
        mark = {True: "met   ", False: "MISSED", None: "  -   "}[goal["met"]]
        shown = "not measured" if goal["ratio"] is None else f"{goal['ratio']:g}"
        print(f"  {mark} {goal['name']}: {shown} (wanted {goal['goal']}) {goal['note']}".rstrip())
    wrong = problems(results.goals, reasons)
    for line in wrong:
        print(f"{paths.REASONS.name}: {line}")
    return wrong
