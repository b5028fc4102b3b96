"""Augment scrubbed records: noised views, and paraphrases by a local model."""
