"""The gateway beside the machine: reads, keeps a twin, detects, steers, forwards without loss."""
