"""The verbs of the command line, one module each: `add` declares its options, and a function does it."""
