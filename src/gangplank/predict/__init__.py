"""Models in production: how many predictions they make, how long these take, and whether their inputs have drifted."""
