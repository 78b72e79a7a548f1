"""Names, routes and messages of the network."""
