"""One script for each page; each also runs alone."""
