"""Floor 0: the nouns of the pipeline and how they become bytes. Imports nothing from the floors above."""
