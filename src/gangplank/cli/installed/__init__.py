"""What is installed on this machine: adapters and plugins, and why one cannot be used."""
