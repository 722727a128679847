"""`python -m strata` is the command `strata`."""

from strata.cli.entry import main

main()
