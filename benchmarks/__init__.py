"""`make bench`: how fast Selvedge is beside Faust as one would write it. Benchmarks are run, never asserted."""
