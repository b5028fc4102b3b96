"""What measures us: not in the wheel, and imported by nothing that is."""
