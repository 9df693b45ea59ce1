"""What a worker serves: its models by name, where they came from, and the state requests share."""
