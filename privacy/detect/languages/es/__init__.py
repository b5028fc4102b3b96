"""Spanish, as Spain, Mexico and other countries write it; ``language`` puts the parts together."""
