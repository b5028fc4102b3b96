"""Adapters: their numbers, PEFT's modules, and one file for each family."""
