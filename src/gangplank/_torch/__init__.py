"""What the adapters for all frameworks based on torch share."""
