"""Measures Pawl against the usual way, its peer and the bare libraries: ratios, never figures."""
