"""`gangplank watch`: the runs of a gateway or a Prometheus, in a terminal or on a page."""
