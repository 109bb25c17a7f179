"""Programs that measure: each prints a table, and writes the same numbers to build/bench as JSON."""
