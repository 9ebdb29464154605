"""Names of the form `package.module:object`: finding, importing and calling them, and what they
depend on."""
