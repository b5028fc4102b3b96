"""German, as Germany, Austria and Switzerland write it; ``language`` puts the parts together."""
