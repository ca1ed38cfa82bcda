"""What is made of a result file: lines, pictures, a page."""
