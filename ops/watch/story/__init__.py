"""The story of one order across four services: what it is, what happened to it, what it waits for."""
