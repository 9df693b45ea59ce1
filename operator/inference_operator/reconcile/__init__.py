"""The control loop: what is observed goes in, and children and statuses are written."""
