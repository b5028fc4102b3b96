"""Measure what a run really does with its privacy, beside what its plan claims."""
