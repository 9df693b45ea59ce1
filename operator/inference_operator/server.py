"""Runs kopf around the operator, so that what is wrong at the start is said in one line.

Left to kopf, an operator that cannot start tries again for ever or ends in a traceback.
"""

from __future__ import annotations

import asyncio.sslproto
import socket
from typing import Any

import kopf

from inference_operator import handlers
from inference_operator.config import Config
from inference_operator.connection import login
from inference_operator.context import Context

# asyncio gives every TLS connection a buffer of 256 KiB, at once and for good. Answers are small.
_TLS_BUFFER_BYTES = 64 * 1024


async def run_operator(config: Config) -> None:
    """Run until a signal comes.

    Raises:
        ConfigError: the operator cannot start; the message says why and what to do.
    """
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
    settings = kopf.OperatorSettings()
    handlers.configure(settings)
    context = Context(config)
    # kopf's type for it is a private alias of str.
    identity: Any = config.identity or socket.gethostname()
    try:
        await context.start(lambda: login(settings))
        await kopf.operator(
            clusterwide=not config.namespaces,
            namespaces=config.namespaces,
            settings=settings,
            memo=context,
            memories=handlers.NoMemories(),
            # Left to itself kopf asks for the user's name, which the image's numeric user has not.
            identity=identity,
        )
    finally:
        await context.stop()
