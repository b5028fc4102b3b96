"""Show progress and results of the research commands at a terminal."""
