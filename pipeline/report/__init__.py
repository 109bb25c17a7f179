"""A run as one page, `report.html`: what came of it in figures, and a reader for its solutions; see docs/report.md."""
