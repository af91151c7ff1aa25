"""How people train, for benchmarks/soak_runs.py: their runs nest, overlap, fail, are forgotten and copied, and fork."""
