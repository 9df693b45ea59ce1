"""How a server uses its CPUs: inferences at the same time, threads of each, requests in progress.

Decided here once, from the settings and the CPUs that the container may use.
"""

from model_server.cpus import Parallelism, available_cpus
from model_server.settings import Settings


def parallelism(settings: Settings) -> Parallelism:
    """How each worker's models use the CPUs: one inference per CPU, each on one thread.

    Expected, not yet measured on a quiet machine: under load several single-threaded inferences
    beat one that uses all CPUs, and a lone request gains from more threads only what XNNPACK
    makes of them.
    """
    cpus = max(1, available_cpus() // max(1, settings.workers))
    instances = settings.model_instances or min(cpus, 8)
    return Parallelism(instances, settings.model_threads or max(1, cpus // instances))


def concurrency(settings: Settings) -> int:
    """Requests that each worker works on at the same time.

    `containerConcurrency`, or one more than the inferences can take: it decodes while they compute.
    """
    together = parallelism(settings).instances * settings.max_batch_size
    return settings.container_concurrency or together + 1


def http_threads(settings: Settings) -> int:
    """Threads of each worker: one for every request inside or waiting, and some for probes.

    A thread that waits costs nothing, while a probe that finds no thread gets the pod killed.
    """
    if settings.threads:
        return settings.threads
    return concurrency(settings) + settings.queue_size + 8
