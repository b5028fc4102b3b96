"""English: words, rules, surrogates and planted values; ``language`` puts them together."""
