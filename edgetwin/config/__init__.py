"""YAML text to a plan, with errors a technician can act on."""
