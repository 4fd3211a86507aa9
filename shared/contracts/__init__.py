"""Data contracts: one ODCS v3.1 file per input and output, compiled to executable checks.

`contract` loads a file, `table`, `arrays` and `files` check data against it, `describe` and `frame_schema`
show it. Rows that break a contract are quarantined with the rule that they broke; nothing is dropped or
coerced silently, and nothing in a contract file is ever executed.
"""
