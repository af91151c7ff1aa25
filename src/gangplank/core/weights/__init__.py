"""Weight arrays of any framework become exact histogram counts."""
