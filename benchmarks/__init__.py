"""What gangplank costs and withstands; a package, for some that is installed may bring one of this name."""
