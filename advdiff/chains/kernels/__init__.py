"""The Markov kernels, one a file."""
