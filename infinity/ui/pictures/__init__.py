"""What can be done with a finished picture, wherever it is shown."""
