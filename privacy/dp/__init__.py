"""Differentially private training: the plan, its sampling, its noise, and the engine that joins them with Opacus."""
