"""Floor 2: what happens to one solution, as plain async functions; `pipeline/cluster/` alone lifts them onto Ray."""
