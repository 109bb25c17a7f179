"""`make model`: trains the small language model of the embedded world, from scratch, and measures it for its card."""
