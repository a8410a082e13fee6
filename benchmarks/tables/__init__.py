"""Accuracy tables, one file per group of conditions; each has `rows()` and runs alone."""
