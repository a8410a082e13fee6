"""The application as it is, with a trial that ends sooner and in ways that no graph can be made to."""

from __future__ import annotations

from dataclasses import replace

from analyzer import opening
from application import create_app

opening.TRIAL = "tests.analyzer.crashing_trial"
opening.LIMITS = replace(opening.LIMITS, cpu_s=2)

application = create_app()
