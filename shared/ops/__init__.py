"""Run programs: status, files, logs, printing, progress, signals, energy, and checks of a folder."""
