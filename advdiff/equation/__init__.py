"""The equation on a mesh: velocity, conditions, operator, and the way back to its controls."""
