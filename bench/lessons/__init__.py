"""The Lessons in miniature: PRMs of one small model under different labels, compared (docs/lessons.md)."""
