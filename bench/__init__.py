"""Measurements that take the parts of the project as they run."""
