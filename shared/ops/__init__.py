"""Running programs: status, disk, logs, printing, signals, energy."""
