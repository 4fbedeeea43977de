"""What Bellhouse costs and how fast it is, measured from outside, each figure beside a limit of the same machine."""
