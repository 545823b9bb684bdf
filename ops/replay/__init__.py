"""Plays an order history through the topics, as the checkout that it comes from would have."""
