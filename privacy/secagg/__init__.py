"""Secure sums: sites add masks that cancel and shares of one noise, so that the server learns only the noised sum."""
