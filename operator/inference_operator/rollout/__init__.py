"""Progressive delivery as a pure state machine.

`plan` decides which revision each Deployment runs, from what was recorded and what was seen. All
state is in `records`, which live in the cluster as ControllerRevisions, so that a restarted
operator, or another replica of it, continues where the last one stopped.
"""
