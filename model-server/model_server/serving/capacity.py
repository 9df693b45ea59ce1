"""How a server uses its CPUs: inferences at the same time, threads of each, requests in progress.

Decided here once, from the settings and the CPUs that the container may use.
"""

from model_server.settings import Settings
from model_server.system.cpus import Parallelism, available_cpus

# Not measured beyond two CPUs: each further thread helps one small picture less, and each copy of
# the model takes memory.
_MOST_LONE_THREADS = 8
_MOST_INSTANCES = 8


def parallelism(settings: Settings) -> Parallelism:
    """How each worker's models use the CPUs.

    Under load one inference per CPU, each on one thread; one that finds the model idle takes all
    CPUs. Measured on two CPUs (DECISIONS.md): a lone request is answered in 0.58 of the time, and
    several at once get a tenth more done than inferences that always take all CPUs.
    """
    cpus = max(1, available_cpus() // max(1, settings.workers))
    at_once = min(cpus, _MOST_INSTANCES, settings.container_concurrency or cpus)
    instances = settings.model_instances or at_once
    threads = settings.model_threads or max(1, cpus // instances)
    lone = settings.model_threads or min(cpus, _MOST_LONE_THREADS)
    return Parallelism(instances, threads, max(threads, lone))


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
