"""Records: their types, and how they are read from a site's file."""
