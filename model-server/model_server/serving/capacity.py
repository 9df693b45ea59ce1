"""Numbers of parallel inferences, threads and requests, from the settings and available CPUs."""

from model_server.settings import Settings
from model_server.system.cpus import Parallelism, available_cpus

# Not measured beyond two CPUs: returns diminish with each thread, and each copy of the model takes
# memory.
_MOST_LONE_THREADS = 8
_MOST_INSTANCES = 8


def parallelism(settings: Settings) -> Parallelism:
    """How the models of a worker use the CPUs.

    Under load, one single-threaded inference per CPU; an inference that runs alone uses all CPUs
    (measurements: DECISIONS.md).
    """
    cpus = max(1, available_cpus() // max(1, settings.workers))
    at_once = min(cpus, _MOST_INSTANCES, settings.container_concurrency or cpus)
    instances = settings.model_instances or at_once
    threads = settings.model_threads or max(1, cpus // instances)
    lone = settings.model_threads or min(cpus, _MOST_LONE_THREADS)
    return Parallelism(instances, threads, max(threads, lone))


def concurrency(settings: Settings) -> int:
    """Maximum number of running requests per worker.

    `containerConcurrency`, or one more than fit into the inferences: it decodes meanwhile.
    """
    together = parallelism(settings).instances * settings.max_batch_size
    return settings.container_concurrency or together + 1


def http_threads(settings: Settings) -> int:
    """HTTP threads per worker: one per running or waiting request, and a reserve for probes.

    A waiting thread is cheap; a probe that gets no thread gets the pod killed.
    """
    if settings.threads:
        return settings.threads
    return concurrency(settings) + settings.queue_size + 8
