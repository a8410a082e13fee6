"""pydantic model -> JSON response."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider
from pydantic import BaseModel


class OrjsonProvider(JSONProvider):
    """orjson for everything that Flask itself writes and reads as JSON."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """Response with the model as JSON; numbers were checked to be finite when the model was built."""
    return Response(orjson.dumps(model.model_dump(mode="json")), status=status, mimetype="application/json")
