"""What somebody in a hurry would serve: kept to say how many times as fast the service is, measured in the same run."""
