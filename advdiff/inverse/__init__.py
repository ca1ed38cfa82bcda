"""Inference against a forward model: prior, misfit and the maximum a posteriori estimate."""
