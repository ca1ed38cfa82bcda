"""Shift-and-invert Krylov, and filters that are rational functions of A."""
