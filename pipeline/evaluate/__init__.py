"""The experiments of `evaluate`, one module each: `add` declares its options, and a function does it."""
