"""Why identifiers are one person, or what keeps them apart: the evidence behind `solve`, for people.

`Known` holds all that is known, by fragments. `explain` looks at what hangs together with the identifiers asked for;
`difference` says what another policy would change for them. `text`, `graph` and `picture` show it.
"""
