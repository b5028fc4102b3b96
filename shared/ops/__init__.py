"""Operation of running programs: status, disk, logs, printing, signals, energy."""
