"""Serials: exactly one secret code for each unit granted, and never a second set."""
