"""Tests of `advdiff.matexp`: numpy, scipy, mpmath and hypothesis only."""
