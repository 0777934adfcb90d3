"""The subcommands, a module for each kind; they parse, call and print."""
