"""Adapters: the trained tensors as arrays, PEFT's modules, and one file for each adapter family."""
