"""What a network's last layer means: targets, loss and scores."""
