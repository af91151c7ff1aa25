"""What several tests share: the servers, the programs and the data that they use."""
