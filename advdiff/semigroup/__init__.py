"""Engines for the action of exp(tA) on distributed vectors, with their adjoints."""
