"""Messages between server and site, and the values in them."""
