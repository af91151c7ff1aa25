"""`gangplank doctor`: checks of an installation, a destination, and the Prometheus that scrapes it."""
