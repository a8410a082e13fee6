"""The learned part of the analysis. No artefact format is served yet: the ensemble reports itself unavailable."""

from __future__ import annotations

from analyzer.errors import ModelUnavailable
from analyzer.roi import Roi
from analyzer.values import Finding, ModelState


class Ensemble:
    """A place in the pipeline that a verified artefact will fill."""

    def state(self) -> ModelState:
        """What is loaded; never loads anything."""
        reason = "No ensemble artefact is installed; the report rests on the classical measurements alone."
        return ModelState(available=False, reason=reason)

    def predict(self, roi: Roi) -> tuple[Finding, ...]:
        """Findings with ``source="ensemble"``.

        Raises:
            ModelUnavailable: no verified artefact is loaded.
        """
        raise ModelUnavailable(self.state().reason or "", "Publish a model artefact; see docs/deploy.md.")
