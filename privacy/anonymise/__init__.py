"""Find and replace personal data at a site: the only place where a ``RawRecord`` becomes a ``Record``."""
