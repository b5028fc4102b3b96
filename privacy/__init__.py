"""Anonymisation, differential privacy and its accounting. Imports ``shared`` only."""
