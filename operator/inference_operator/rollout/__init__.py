"""Progressive delivery as a pure state machine.

`plan` decides which revision each Deployment runs from recorded and observed state. All state is in
`records`, stored in the cluster as ControllerRevisions, so a restarted operator or another replica
resumes where the last one stopped.
"""
