"""Tests of advdiff.inverse."""
