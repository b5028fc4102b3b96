"""Keys and certificates of sites and servers."""
