"""A whole federation in one process, on the production round loop."""
