"""The models a worker serves, how they are found and loaded, and the state shared by requests."""
