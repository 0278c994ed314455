"""What does the gateway cost? Benchmarks that start everything themselves on loopback; see README.md here."""
