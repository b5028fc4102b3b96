"""Make and divide the data of a simulated federation."""
