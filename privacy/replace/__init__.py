"""Replace found personal data."""
