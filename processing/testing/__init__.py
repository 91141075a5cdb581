"""A simulator with known truth, and the contracts any implementation must pass."""
