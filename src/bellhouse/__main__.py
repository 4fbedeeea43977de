"""`python -m bellhouse` is `bellhouse`."""

from bellhouse.cli import main

main()
