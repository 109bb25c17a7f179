"""A run for others: its card, what of it everybody may read, and the way to the Hub."""
