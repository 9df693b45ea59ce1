"""One server per peer, each a program run in that peer's own environment.

Every one wraps the same ``bench.vision`` model and is configured as the peer's documentation
recommends for a CPU: one worker process for each core where it has workers, one engine thread
each. They know nothing of this software and are never imported by the harness.
"""
