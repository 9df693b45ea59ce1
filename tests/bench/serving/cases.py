"""What is asked of the contestants: models, tasks, pictures and how many ask at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["answer", "annotate", "article"]
CONCURRENCY = (1, 2, 8, 32)
SLOW = 2.0


@dataclass(frozen=True)
class Workload:
    """One model and what is done with each picture.

    Attributes:
        model: ``detector`` or ``resnet50``.
        task: ``answer`` gives labels as JSON; ``annotate`` gives the picture back as JPEG with
            the boxes drawn; ``article`` gives the detection article's JSON, picture included.
        size: One of ``assets.pictures.SIZES``.
        concurrency: How many ask at once, one measurement for each, the same for everybody.
        stretch: How many times as long as others its measurements take: where an answer takes a
            third of a second, two seconds hold too few of them.
    """

    model: str
    task: Task
    size: str
    concurrency: tuple[int, ...] = CONCURRENCY
    stretch: float = 1.0

    @property
    def name(self) -> str:
        """A short name for a person: ``detector annotate 2MP``."""
        return f"{self.model} {self.task} {self.size}"


FULL = (
    Workload("detector", "answer", "0.3MP"),
    Workload("detector", "answer", "2MP", (1, 8)),
    Workload("detector", "answer", "12MP", (1, 8), SLOW),
    Workload("resnet50", "answer", "0.3MP", stretch=SLOW),
    Workload("resnet50", "answer", "2MP", (8,), SLOW),
    Workload("resnet50", "answer", "12MP", (8,), SLOW),
    Workload("detector", "annotate", "0.3MP", (1, 8)),
    Workload("detector", "annotate", "2MP", (1, 8)),
    Workload("detector", "article", "0.3MP", (1, 8), SLOW),
)
QUICK = (
    Workload("detector", "answer", "0.3MP", (1, 8)),
    Workload("resnet50", "answer", "0.3MP", (8,), SLOW),
    Workload("detector", "annotate", "0.3MP", (1,)),
)


def chosen(names: str, default: tuple[Workload, ...]) -> tuple[Workload, ...]:
    """The workloads with these comma-separated names; the default when empty.

    Raises:
        SystemExit: There is none of such a name.
    """
    if not names:
        return default
    known = {workload.name: workload for workload in FULL}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise SystemExit(f"--workloads: there is no {name!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in wanted)
