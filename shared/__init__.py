"""What is the same for every service: the published language, the runtime of the fold, and pure helpers."""

__version__ = "0.3.0.dev0"
