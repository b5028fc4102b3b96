"""The configuration of a run, read from TOML into one immutable tree; server and sites use the same classes."""
