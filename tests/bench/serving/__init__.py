"""The serving benchmark: the same pictures to every server, and to no server at all."""
