"""The blocks of a profile document, one file each: pure functions of a person's fragments and the time."""
