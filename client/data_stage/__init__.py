"""Prepare a site's records for training: clean, scrub, select, balance, augment."""
