"""The parts of the benchmark page, and what the arena shows of it."""
