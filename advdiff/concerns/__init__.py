"""What a result has to say against itself, before and after it is computed."""
