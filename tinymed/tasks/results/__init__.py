"""What a task shows and writes of its results."""
