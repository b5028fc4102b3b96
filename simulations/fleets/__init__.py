"""Run the sites of a simulated federation."""
