"""A simulated plant good enough to learn from, and the story told on it."""
