"""Measure whether a run keeps the privacy that its plan claims."""
