"""Replace found personal data by tags or invented values."""
