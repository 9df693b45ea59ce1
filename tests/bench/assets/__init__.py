"""Makes what the benchmark feeds: pictures and models. Everything lands in the cache, once."""
