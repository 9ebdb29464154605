"""YAML documents that people write: read as untrusted text, with the place of every key and value,
checked against a schema, and with all that is wrong in them said at once. Knows neither recipes nor
targets."""
