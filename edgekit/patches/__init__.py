"""Changes to the libraries below edgekit, made while a `with` block is open.

`correctness/` changes what the libraries write or compute; `speed/` gives the same bytes in less
time. Each module names the library versions it is for, and its test fails when the library no
longer needs it.
"""
