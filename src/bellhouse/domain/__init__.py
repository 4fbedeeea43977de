"""The words of the house: pure values and rules, no I/O."""
