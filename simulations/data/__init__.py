"""Generate the records of a simulated federation and split off the held-out ones."""
