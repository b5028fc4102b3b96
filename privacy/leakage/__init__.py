"""Measure how much personal data the anonymiser misses."""
