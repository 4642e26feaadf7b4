"""The Dockerfile read, its steps carried out without Docker, and the result looked at."""
