"""Measurements of the project as it runs; none of them is in the wheel."""
