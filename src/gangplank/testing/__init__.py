"""For tests of code that pushes: `gangplank.testing.gateway`, a Pushgateway in memory."""
