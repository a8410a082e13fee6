"""The WSGI application: wiring only."""

from __future__ import annotations

from functools import partial

import cv2
from flask import Flask

from analyzer import pipeline, settings
from analyzer.ensemble import Ensemble
from analyzer.model_sources import ModelSources
from analyzer.settings import Settings
from web import cors, errors, guard, headers, logs, rate_limit, routes, tracing
from web.admission import Admission
from web.answers import OrjsonProvider
from web.metrics import Metrics
from web.paths import SlashNormaliser
from web.readiness import Readiness, generated_portrait
from web.service import Service


def create_app(config: Settings | None = None, ensemble: Ensemble | None = None) -> Flask:
    """The Flask app with its dependencies.

    Args:
        config: settings; None reads them from the environment.
        ensemble: the learned part; None takes what `config.store` names. It is loaded when it is first needed.

    Raises:
        BadSetting: an environment variable is malformed; the message names it.
    """
    config = config or settings.read()
    ensemble = ensemble or Ensemble(ModelSources(config.store))
    logs.configure(config.log_level)
    cv2.setNumThreads(config.opencv_threads)
    app = Flask("web", static_folder=None)
    app.json = OrjsonProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    admission = Admission(config)
    readiness = Readiness(partial(pipeline.analyze_photo, generated_portrait(), ensemble))
    metrics = Metrics(admission, ensemble, readiness, config.store.cache)
    buckets = rate_limit.buckets(config.rate_limit, config.rate_limit_redis_url, metrics.rate_limit_failure)
    app.extensions["service"] = Service(
        settings=config,
        ensemble=ensemble,
        admission=admission,
        metrics=metrics,
        readiness=readiness,
        kinds=routes.kinds(),
    )
    tracing.register(app, metrics)
    cors.register(app, config.cors_origins)
    headers.register(app)
    guard.register(app, config, buckets)
    errors.register(app)
    routes.register(app)
    app.wsgi_app = SlashNormaliser(app.wsgi_app)  # type: ignore[method-assign]
    return app


application = create_app()
