"""Messages between server and site, and the types of their values."""
