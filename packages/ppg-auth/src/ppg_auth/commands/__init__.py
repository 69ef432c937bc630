"""The subcommands. Importing them costs nothing: each imports what it needs when it is called."""
