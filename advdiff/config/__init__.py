"""The experiment file: its tables, its types, its messages."""
