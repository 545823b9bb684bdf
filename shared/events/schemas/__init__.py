"""The JSON Schema of each event type, made from its model and kept here so that every change is seen."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from shared.events.catalogue import TYPES

FOLDER: Final = Path(__file__).parent
PLACES: Final = "places.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class WithoutTitles(GenerateJsonSchema):
    """Field names say what a title would repeat."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_of(type_name: str) -> dict[str, Any]:
    """The JSON Schema of a type's data. Raises KeyError for a type that there is not."""
    kind = TYPES[type_name]
    mode: JsonSchemaMode = "validation"
    shape = kind.model.model_json_schema(schema_generator=WithoutTitles, mode=mode)
    return {
        "$schema": DIALECT,
        "$id": f"urn:pawl:schema:{type_name}",
        **shape,
        "title": type_name,
    }


def places() -> dict[str, dict[str, str]]:
    """The topic of each type, and the field that its record key repeats.

    Not in the schemas: a strict validator takes none that has words of its own.
    """
    return {name: {"topic": kind.topic, "record_key": kind.key_field} for name, kind in TYPES.items()}


def places_text() -> str:
    """`places` as its file holds it."""
    return json.dumps(places(), ensure_ascii=False, indent=2) + "\n"


def schema_text(type_name: str) -> str:
    """The schema as its file holds it."""
    return json.dumps(schema_of(type_name), ensure_ascii=False, indent=2) + "\n"


def write_all(folder: Path = FOLDER) -> list[str]:
    """Write the schema of every type into `folder`, drop those of types that are gone; what changed."""
    wanted = {f"{name}.json": schema_text(name) for name in TYPES} | {PLACES: places_text()}
    changed = [path.name for path in folder.glob("*.json") if path.name not in wanted]
    for name in changed:
        (folder / name).unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed
