"""The verbs of the ``ppg-auth`` command. Importing them costs nothing: each imports what it needs
when it is called."""
