"""The values that a run receives become a frozen `Snapshot`, on the training thread."""
