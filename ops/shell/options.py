"""Options that several commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="The run directory (default: $PAWL_DIR or .pawl).", show_default=False),
]
KafkaAddress = Annotated[
    str | None,
    typer.Option("--kafka", metavar="HOST:PORT", help="A broker that runs already.", show_default=False),
]
PostgresUrl = Annotated[
    str | None,
    typer.Option("--postgres", metavar="URL", help="A PostgreSQL that runs already.", show_default=False),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="A token for the service (default: $PAWL_TOKEN).",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]

Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=1, help="How long servers and services may take to start."),
]
