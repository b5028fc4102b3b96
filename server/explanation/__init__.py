"""Explain a tuned model's answers token by token, for texts that the operator supplies; never for a site's records."""
