"""Turns rows into goals, a table and plots. Pure but for writing the files."""
