"""Run many federations and draw conclusions from them: comparisons, searches and the cost of privacy."""
