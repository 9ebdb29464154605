"""Alembic's environment for the results database (env.py) and its revisions (versions/). Run by
edgekit.store.database, never by hand."""
