"""What tests need of the house: a clock moved by hand, and the whole platform as a process."""
