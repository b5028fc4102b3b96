"""The contract: what the server and every site must agree on. Imports none of the other packages."""
