"""The drafts that have no row, over rows in memory, as the view `all_documents` says them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import services.invoices.store as invoices_store
from services.invoices.state import draft_said_by
from tests.simulation.memory import Row


def all_documents(tables: Mapping[str, Mapping[Any, Any]]) -> dict[UUID, Row]:
    """All documents, those too that have no row since they are what their payments say, by their ids."""
    rows = dict(tables["documents"])
    for row in tables["payments"].values():
        if row["draft_id"] is not None and row["draft_id"] not in rows:
            draft = draft_said_by(invoices_store.PAYMENTS.read(row))
            columns = (column.name for column in invoices_store.DOCUMENTS.columns)
            rows[draft.invoice_id] = Row(zip(columns, invoices_store.DOCUMENTS.row(draft), strict=True))
    return rows
