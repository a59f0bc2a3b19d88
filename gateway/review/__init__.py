"""What a policy means for calls that were, and for numbers that may be called."""
