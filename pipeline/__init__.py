"""Floor 3: the machinery (recipes, engines, cluster, command line). Start reading at `pipeline/synth.py`."""
