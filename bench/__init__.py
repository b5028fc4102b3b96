"""Benchmarks and mutation tests of this project; not part of the wheel."""
