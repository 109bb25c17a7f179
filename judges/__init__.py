"""Floor 1: opinions about a solution's steps, without any I/O. Imports `data` only."""
