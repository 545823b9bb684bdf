"""Subjects of events (`ce_subject`) that consist of several ids. Pure."""


def subject_of(*parts: str) -> str:
    """`ORDER/LINE` or `PARTNER/REQUEST`; the `/` of a part is percent-encoded, so that no two are alike."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
