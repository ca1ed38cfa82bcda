"""The Faber recurrence on an ellipse around the numerical range."""
