"""Tells contestants apart that differ by 2 %, on a machine whose own speed varies by more.

All contestants run from the start to the end. They take short turns in random order, and the bare
engine takes one before and after each: what counts is the ratio to these two. Many rounds give an
interval for each ratio, and nobody is called first whose interval says otherwise.
"""
