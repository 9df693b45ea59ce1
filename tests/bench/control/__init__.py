"""The operator benchmark: how fast and how quietly resources become their children."""
