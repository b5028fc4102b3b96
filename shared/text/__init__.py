"""Changes of public or scrubbed text: noise, synonyms, counterfactuals; and public texts."""
