"""The log in one SQLite file: the loop's side, a writer thread, a reader thread."""
