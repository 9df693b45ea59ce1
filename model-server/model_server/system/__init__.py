"""What the server asks of the operating system: CPUs, memory, listening sockets.

Knows no models and no requests.
"""
