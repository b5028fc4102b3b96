"""Languages whose texts the anonymiser can read, in one folder each; ``registry`` lists them."""
