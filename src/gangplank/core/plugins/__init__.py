"""The hooks, the plugins that implement them, and the thread that calls observers."""
