"""What is the gateway shown and tested with? A small model server, a load for it, and the demo."""
