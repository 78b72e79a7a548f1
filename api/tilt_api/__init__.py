"""What any client of tiltd imports: the generated contract, addresses, a typed helper."""
