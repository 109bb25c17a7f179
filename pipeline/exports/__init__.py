"""Finished runs in the formats of those who train on them or evaluate with them; docs/exports.md has the table."""
