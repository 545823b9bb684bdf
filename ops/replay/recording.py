"""What a demonstration showed, as data: README's pictures are drawn from it, without running it again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ops.replay.result import Result
from ops.watch.story.model import Story


@dataclass(slots=True, frozen=True)
class Recording:
    """What the demonstration ended with, and the story of the order worth a look."""

    result: Result
    story: Story

    def write(self, file: Path) -> None:
        """Writes it as JSON."""
        file.write_bytes(_RECORDINGS.dump_json(self, indent=1) + b"\n")

    @classmethod
    def read(cls, file: Path) -> "Recording":
        """What `write` wrote. Raises ValueError for anything else."""
        recording: Recording = _RECORDINGS.validate_json(file.read_bytes())
        return recording


_RECORDINGS: TypeAdapter[Any] = TypeAdapter(Recording)
