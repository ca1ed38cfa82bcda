"""Other generators that the same inference serves: rate matrices, the quantum toy."""
