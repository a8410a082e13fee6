"""pydantic model -> JSON response."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider
from pydantic import BaseModel

from web import mending


class OrjsonProvider(JSONProvider):
    """orjson for everything that Flask itself writes and reads as JSON."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """Return the model as a JSON response; values that JSON cannot hold are null, which is logged and counted."""
    body = mending.part(
        "json",
        lambda: orjson.dumps(model.model_dump(mode="json")),
        lambda: orjson.dumps(mending.plain(model.model_dump(warnings=False))),
    )
    return Response(body, status=status, mimetype="application/json")
