"""The newest value of everything about a run, and the families and text that show it."""
