"""`python -m pipeline` is `selvedge`."""

from pipeline.cli import main

main()
