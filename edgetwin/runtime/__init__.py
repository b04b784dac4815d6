"""The loops, their supervision, the clock, and the wiring."""
