"""The auditor: what must be true over the four schemas (domain.md section 7, reliability.md R1-R3)."""
