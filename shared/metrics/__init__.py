"""Metrics of a model, each with an interval."""
