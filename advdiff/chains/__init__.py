"""Markov chains: small kernels ``state, info = kernel.step(rng, state)`` in white coordinates."""
