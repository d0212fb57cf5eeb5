"""The rules, pure: no clock, no I/O, no randomness. Times and keys are arguments."""
