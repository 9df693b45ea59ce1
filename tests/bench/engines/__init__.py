"""The engine benchmark: the same model in every form and engine that this machine can run."""
