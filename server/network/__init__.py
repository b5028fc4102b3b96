"""Connect sites: Flower's SuperLink, its ports, and who may pass."""
