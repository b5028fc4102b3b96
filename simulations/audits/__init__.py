"""Audits of a run: a lower bound of epsilon, attacks on an adapter, and dishonest sites."""
