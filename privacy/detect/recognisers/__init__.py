"""Recognise one kind of identifier a file, in texts of every language; ``registry`` lists them all."""
