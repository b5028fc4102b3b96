"""Change public or scrubbed text: noise, synonyms, counterfactuals; read public texts."""
