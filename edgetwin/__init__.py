"""The gateway beside the machine: reads, keeps a twin, detects, steers and forwards without loss."""
