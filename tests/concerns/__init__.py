"""What a run warns of."""
