"""What an outside client saw, recorded and judged against a small model of the business (docs/history.md)."""
