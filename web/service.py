"""What the routes of one process share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from flask import Response, current_app

from analyzer.ensemble import Ensemble
from analyzer.settings import Settings
from web.admission import Admission
from web.metrics import Metrics
from web.readiness import Readiness


class Route(NamedTuple):
    """A function, its method and all paths that reach it, the main one first."""

    view: Callable[[], Response]
    method: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """Dependencies of the routes, made once by the application factory.

    Attributes:
        kinds: path → name of the route that it belongs to, aliases included.
    """

    settings: Settings
    ensemble: Ensemble
    admission: Admission
    metrics: Metrics
    readiness: Readiness
    kinds: Mapping[str, str]


def service() -> Service:
    """The service of the current app."""
    return cast(Service, current_app.extensions["service"])
