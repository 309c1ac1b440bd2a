"""JSON Schema of the files that users write, scenarios and profiles: for editors and for docs/scenarios.md.

It describes the TOML file and not the models behind it: keys without the unit, durations as text, a group's link as
changes to its profile or as a recording. Rules between keys are left to the models, so a file that fits may still be
rejected. The dialect is draft 7: editors of TOML know no later one.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from heartbench.hub import HubSettings
from heartbench.simulator.profile import Profile
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.units import DURATION_PATTERN, format_duration

Schema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"


class _FileSchema(GenerateJsonSchema):
    """Pydantic's schema of a model, in terms of a TOML file: no null, durations as text, pairs as in draft 7."""

    schema_dialect = DIALECT

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Return the schema with its dialect."""
        return {"$schema": DIALECT, **super().generate(schema, mode)}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of the value: a file has no null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema with the default as a file has it; those of a table's keys stand beside them."""
        found = super().default_schema(schema)
        default = found.get("default")
        if default is None or isinstance(default, dict):
            found.pop("default", None)
        elif is_duration(found):
            found["default"] = format_duration(default)
        return found

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """Return the schema of a list; draft 7 has no `prefixItems`."""
        found = super().tuple_schema(schema)
        if "prefixItems" in found:
            found["items"] = found.pop("prefixItems")
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Return false: a key is its own title."""
        return False


def profile_schema() -> Schema:
    """Return the JSON Schema of a profile file."""
    return schema_of(Profile)


def scenario_schema() -> Schema:
    """Return the JSON Schema of a scenario file, with the settings of the hub."""
    schema, hub = schema_of(Scenario), schema_of(HubSettings)
    schema["$defs"] |= hub["$defs"]
    schema["properties"]["hub"] |= {key: hub[key] for key in ("properties", "additionalProperties")}
    del schema["properties"]["name"]["default"]  # that of the file
    schema["$defs"]["Group"]["required"].remove("link")
    schema["$defs"]["Replay"]["required"].remove("digest")
    link = schema["$defs"]["Group"]["properties"]["link"]
    profile, replay = link.pop("oneOf")
    has_file = {"if": {"required": ["file"]}, "then": replay, "else": profile}
    link |= {"type": ["object", "string"], "if": {"type": "object"}, "then": has_file}
    for name in ("Profile", *profile_schema()["$defs"]):  # a link states only what differs
        schema["$defs"][name].pop("required", None)
    return schema


def schema_of(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema of the data that `model` reads from a file."""
    return model.model_json_schema(schema_generator=_FileSchema)


def is_duration(schema: Schema) -> bool:
    """Return whether a value of this schema is a duration."""
    return schema.get("pattern") == DURATION_PATTERN
