"""What must survive: outbox, journal and recordings, on disk."""
