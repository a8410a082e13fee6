"""The proxy's own answers, as nginx maps made from settings, routes and answers of the service, on standard output.

    CORS_ORIGINS=https://shineskincollective.com,https://www.shineskincollective.com python -m deploy.proxy_answers \
        > .platform/nginx/conf.d/20_answers.conf

When the proxy refuses a request (a body too large) or does not reach the service, it answers in the service's stead: the shape
of the route that was asked, the CORS headers of the same origins. A predeploy hook writes the file anew on the machine, with its
CORS_ORIGINS.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from math import ceil

from pydantic import BaseModel

from analyzer import settings
from analyzer.errors import BadSetting
from analyzer.values import ModelState
from analyzer.vocabulary import ErrorCode
from web import cors, wire
from web.gates import UNKNOWN_WAIT_S
from web.routes import ROUTES
from web.words import FAULT, NOT_UNDERSTOOD

HEAD = "# The proxy's own answers. Written by python -m deploy.proxy_answers: do not edit.\n"
UNKNOWN_MODEL = ModelState(False, "The proxy answered; the service was not asked.")
MIB = 1024 * 1024
UNREACHED = (ErrorCode.BUSY, "The service cannot answer at the moment.", "Please try again in a few seconds.")
TOKEN_LIMIT = 4000  # characters; nginx takes words up to 4096
PARTS = ("code", "message", "hint")


def document(config: settings.Settings) -> str:
    """The whole file for http {}."""
    shapes = {view: paths(view) for view in ("analyze", "detect_faces")}
    every_path = [path for found in shapes.values() for path in found]
    return HEAD + "\n".join(
        (
            _map("$http_origin", "$allowed_origin", _origins(config.cors_origins)),
            _map("$allowed_origin", "$exposed_headers", {"default": ", ".join(sorted(cors.EXPOSED)), '""': ""}),
            _split("$request_id", "$proxy_wait", range(ceil(UNKNOWN_WAIT_S / 2), UNKNOWN_WAIT_S + 1)),
            _map("$status", "$proxy_retry_after", {"default": "", '"~^50[234]$"': "$proxy_wait"}),
            _map("$time_iso8601", "$proxy_time", {"default": "", '"~^(?<moment>[-0-9T:]+)[+]00:00$"': "${moment}Z"}),
            *(
                _map("$status", f"$proxy_{name}", {status: words[i] for status, words in failures(config).items()})
                for i, name in enumerate(PARTS)
            ),
            _map("$request_uri", "$proxy_endpoint", {"default": "", **{_asked((path,)): path for path in every_path}}),
            _map(
                "$request_uri", "$proxy_path", {"default": "other", **{_asked((path,)): path for path in known_paths()}}
            ),
            _map("$request_uri", "$proxy_answer", answers(shapes)),
        )
    )


def failures(config: settings.Settings) -> dict[str, tuple[str, str, str]]:
    """Key of the map of $status -> code, message and hint, in the service's own words."""
    limit = f"The request is larger than {config.max_body_bytes // MIB} MiB."
    return {
        "default": NOT_UNDERSTOOD,
        "413": (ErrorCode.TOO_LARGE, limit, "Send a smaller copy of the photo."),
        '"~^500$"': FAULT,
        '"~^50[234]$"': UNREACHED,
    }


def answers(shapes: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Key of the map of $request_uri -> JSON with variables of nginx in the places that differ from request to request."""
    told = (ErrorCode.BAD_REQUEST, "$proxy_message", "$proxy_hint")
    call = wire.Call("$trace_id", "$proxy_endpoint", 0.0)
    return {
        "default": _json(wire.failure(*told, "$trace_id")),
        _asked(shapes["detect_faces"]): _json(wire.failed_detection(*told, call)),
        _asked(shapes["analyze"]): _json(wire.failed_analysis(*told, call, UNKNOWN_MODEL)),
    }


def known_paths() -> list[str]:
    """Return the paths of all routes: what the proxy's log may name, since a caller can write anything into a path."""
    return [path for route in ROUTES for path in route.paths]


def paths(view: str) -> tuple[str, ...]:
    """Return all paths that reach a route, aliases included."""
    return next(route.paths for route in ROUTES if route.view.__name__ == view)


def _origins(allowed: Iterable[str]) -> dict[str, str]:
    if "*" in allowed:
        return {"default": "*"}
    return {"default": "", **{f'"~^{re.escape(origin)}$"': "$http_origin" for origin in allowed}}


def _asked(among: tuple[str, ...]) -> str:
    """A key for the target of a request: doubled slashes, one at the end and a query change nothing."""
    return f'"~^(?:{"|".join(path.replace("/", "/+") for path in among)})/*(?:[?]|$)"'


def _json(answer: BaseModel) -> str:
    shown = answer.model_dump(mode="json") | {"error_code": "$proxy_code"}
    for part in (shown, shown.get("api_metadata", {})):
        if "timestamp" in part:
            part["timestamp"] = "$proxy_time"
    return json.dumps(shown, separators=(",", ":"))


def _map(source: str, target: str, entries: dict[str, str]) -> str:
    lines = "".join(f"    {key} {_quoted(value)};\n" for key, value in entries.items())
    return f"map {source} {target} {{\n{lines}}}\n"


def _split(source: str, target: str, values: Sequence[int]) -> str:
    """Each value for the same share of requests."""
    *others, last = values
    lines = "".join(f"    {100 / len(values):.2f}% {value};\n" for value in others)
    return f"split_clients {source} {target} {{\n{lines}    * {last};\n}}\n"


def _quoted(value: str) -> str:
    """One word of nginx.

    Raises:
        ValueError: the text cannot be one.
    """
    if len(value) > TOKEN_LIMIT or "'" in value or "\\" in value or "\n" in value:
        raise ValueError(f"nginx cannot hold this as one word: {value[:80]}")
    return f"'{value}'"


if __name__ == "__main__":
    try:
        print(document(settings.read()), end="")
    except BadSetting as error:
        sys.exit(f"{error.message} {error.hint}")
