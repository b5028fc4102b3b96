"""Hold one folder for each language whose texts the anonymiser can read; ``registry`` lists them."""
