"""Recognisers that serve every language, one kind of identifier in each file; ``registry`` lists them."""
