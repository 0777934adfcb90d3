"""The web process: REST API, pages, live updates and figures."""
