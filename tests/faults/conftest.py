"""The picture that all fault tests send."""

from __future__ import annotations

from tests.web.conftest import portrait_jpeg

__all__ = ["portrait_jpeg"]
