"""`python -m pipeline VERB`; defines nothing, since what `__main__` defines cannot travel to workers."""

from pipeline.cli import main

raise SystemExit(main())
