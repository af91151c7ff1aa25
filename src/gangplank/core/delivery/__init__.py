"""The delivery of pages: each sink has an outbox in front of it, with its own thread."""
