"""The functions that Tiltfiles call, one module a theme; `predeclared` puts them together."""
