"""Why a tuned model answers as it does, token by token, for texts that the operator supplies; never for a site's records."""
