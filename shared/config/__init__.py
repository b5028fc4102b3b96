"""The configuration of a run: one frozen tree, read from TOML, the same class on the server and at every site."""
