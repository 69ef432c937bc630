"""The subcommands; each imports only what it needs."""
