"""Crashes, lost and late news, refusals and failovers: whatever happens, the end is the same.

The operator runs as a process against a real API server, through a proxy that does to it what
networks, API servers and machines do. Nothing of the operator's own code is imported.
"""
