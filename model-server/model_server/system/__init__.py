"""Operating system interfaces: CPUs, memory allocator, addresses and listening sockets."""
