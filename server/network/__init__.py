"""Run Flower's SuperLink inside the server process and admit only registered sites to it."""
