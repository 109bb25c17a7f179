"""Adapters of the one port to a model, `stages.engine.Engine`: one file an engine, one third-party library a file."""
