"""What knocks servers over: damaged uploads by the thousand, and a very long day."""
