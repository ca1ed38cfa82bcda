"""Tables of readings as loggers, laboratories and spreadsheets write them.

What is unambiguous is read, and what was understood is said in a line; what may mean two things is
refused in a line that names the key which decides.
"""
