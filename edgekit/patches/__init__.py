"""Changes to the libraries below edgekit, each for the versions it names."""
