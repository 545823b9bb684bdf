"""A module for each page: its routes, what it reads, and what it does."""
