"""Everything that the anonymiser knows of English."""
