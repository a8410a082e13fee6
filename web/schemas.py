"""The JSON schemas of requests and answers, as the OpenAPI description shows them to clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from web.fields import INCLUDABLE, DemographicsField

REFERENCE = "#/components/schemas/{model}"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNomPIAAAOEAhuKt5a1AAAAAElFTkSuQmCC"
Base64 = WithJsonSchema({"type": "string", "examples": [PIXEL]})
Binary = WithJsonSchema({"type": "string", "format": "binary"})
Word = WithJsonSchema({"type": "string", "enum": list(INCLUDABLE)})


class Demographics(DemographicsField):
    """Self-reported, all optional; what cannot be used is named in `demographics_ignored` and never costs the analysis."""


class ImageRequest(BaseModel):
    """A photo as base64 in `image` or in `image_data`, one of which is needed. Unknown fields are ignored."""

    model_config = ConfigDict(extra="allow")

    image: Annotated[str, Base64, Field(description="Standard or URL-safe base64; a data URL prefix may stay.")] = ""
    image_data: Annotated[str, Base64, Field(description="The same under another name; `image` wins.")] = ""
    demographics: Demographics | None = None
    include: Annotated[
        list[Annotated[str, Word]] | None,
        Field(description="Parts that come only when they are asked for; other words are ignored."),
    ] = None


class PhotoForm(BaseModel):
    """A photo as a file part of a form, with the same fields beside it."""

    image: Annotated[bytes, Binary, Field(description="The file as it is; its name and type do not matter.")]
    demographics: Demographics | None = None
    include: Annotated[str | None, Field(description=f"Words out of {', '.join(INCLUDABLE)}, with commas.")] = None


class ClientSchema(GenerateJsonSchema):
    """JSON schemas that client generators read rightly."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        """Return the schema without its default: a request may leave the field out, and an answer never does."""
        return self.generate_inner(schema["schema"])

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return whether the field is always there: in an answer, unless it is left out for being null."""
        if self.mode == "serialization":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> dict[str, Any]:
        """Return a nullable schema for answers; in a request null says no more than the absence of the field."""
        return self.generate_inner(schema["schema"]) if self.mode == "validation" else super().nullable_schema(schema)

    def literal_schema(self, schema: core_schema.LiteralSchema) -> dict[str, Any]:
        """Return a plain boolean for `Literal[False]`: openapi-generator compares a constant as text."""
        is_boolean = all(isinstance(value, bool) for value in schema["expected"])
        return {"type": "boolean"} if is_boolean else super().literal_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: a title would only repeat the name."""
        return False


def component_schemas(answers: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """Return the schemas of both requests and of `answers`, by name."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ImageRequest, "validation"), (PhotoForm, "validation")]
    models += [(model, "serialization") for model in sorted(set(answers), key=_name)]
    _, schemas = models_json_schema(models, ref_template=REFERENCE, schema_generator=ClientSchema)
    parts = schemas["$defs"]
    return {name: _join_enums(_open(schema), parts) for name, schema in parts.items()}


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without `additionalProperties: false`: a client of today must take the fields of tomorrow."""
    closed = schema.get("additionalProperties") is False
    return {name: value for name, value in schema.items() if not (closed and name == "additionalProperties")}


def _join_enums(value: Any, parts: Mapping[str, Any]) -> Any:
    """Return a schema in which a choice between enums is one list of words: generators wrap a choice in a class of its own."""
    if isinstance(value, list):
        return [_join_enums(item, parts) for item in value]
    if not isinstance(value, dict):
        return value
    choices = [parts.get(str(choice.get("$ref", "")).rpartition("/")[2], choice) for choice in value.get("anyOf", ())]
    enums = [choice for choice in choices if "enum" in choice]
    if len(enums) > 1:
        words = {"type": "string", "enum": [word for enum in enums for word in enum["enum"]]}
        others = [choice for choice in choices if "enum" not in choice]
        return {**value, "anyOf": [words, *others]}
    return {name: _join_enums(item, parts) for name, item in value.items()}
