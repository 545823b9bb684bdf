"""Tax documents ready to be shown: one value, and its renderers, which get it and never a connection."""
