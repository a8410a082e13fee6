"""The application with a stand-in for the network, which verifies as the real one does: swaps under load are quick to see."""

from __future__ import annotations

from analyzer import settings
from analyzer.ensemble import Ensemble
from analyzer.model_sources import ModelSources
from application import create_app
from tests.analyzer.store_server import open_stand_in

_config = settings.read()
application = create_app(_config, Ensemble(ModelSources(_config.store), open_stand_in))
