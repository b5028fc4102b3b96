"""Messages between server and site, and what they are made of."""
