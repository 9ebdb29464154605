"""Names to models and datasets. Importing this package imports no torch; its modules do."""
