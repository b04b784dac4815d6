"""What a running daemon tells people and the service manager."""
