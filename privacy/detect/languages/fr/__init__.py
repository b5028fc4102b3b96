"""French, as France, Belgium and Switzerland write it; ``language`` puts the parts together."""
