"""The control loop: takes in observations, writes children and statuses."""
