"""The files that put releases behind the official TensorFlow Serving image: Compose, Kubernetes, KServe.

`served` (what the releases are) -> `deployment` (templates) -> `folder` (there whole or not at all).
"""

from __future__ import annotations

from keras_dl_serving.deploy.deployment import IMAGE, write_deployment

__all__ = ["IMAGE", "write_deployment"]
