"""A small order history in the form of the real one: paid, issued, refunded, and with its faults."""

from pathlib import Path

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
STORY = (
    "R9001,22728,ALARM CLOCK,10,3/1/2011 10:00,3.75,812583,France",
    "R9001,POST,POSTAGE,1,3/1/2011 10:00,18,812583,France",
    "R9002,21724,STICKERS,12,3/2/2011 10:00,0.85,812583,France",
    "CR9003,22728,ALARM CLOCK,-4,3/4/2011 10:00,3.75,812583,France",
    "CR9004,22728,ALARM CLOCK,-6,3/7/2011 10:00,3.75,812583,France",
    "CR9004,POST,POSTAGE,-1,3/7/2011 10:00,18,812583,France",
    "CR9004,99999,NEVER BOUGHT,-1,3/7/2011 10:00,1,812583,France",
    "R9005,22728,ALARM CLOCK,5,4/2/2011 10:00,3.75,812584,Spain",
    "CR9006,22728,ALARM CLOCK,-5,4/3/2011 10:00,3.75,812584,Spain",
    "R9007,22728,FREE,5,4/3/2011 11:00,0,812584,Spain",
    "R9008,22728,ALARM CLOCK,-5,4/3/2011 12:00,3.75,812584,Spain",
    "R9009,not enough",
)


def history(folder: Path, *lines: str) -> Path:
    """A file of these lines."""
    path = folder / "history.csv"
    path.write_text("\n".join((HEADER, *lines)))
    return path
