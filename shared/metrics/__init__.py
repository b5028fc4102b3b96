"""Metrics of a model, each with a confidence interval."""
