"""What the five models share."""
