"""Run many federations and conclude from them: comparisons and searches."""
