"""Sections to the plan: what the file says as a whole, checked piece against piece."""
