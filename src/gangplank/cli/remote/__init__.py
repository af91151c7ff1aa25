"""A gateway over HTTP: its groups, read, shown in tables and deleted."""
