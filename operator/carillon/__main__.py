"""`python -m carillon` is the `carillon` command."""

from carillon.cli.main import main

main()
