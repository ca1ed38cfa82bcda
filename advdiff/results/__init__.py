"""What a result file holds, and how it is written."""
