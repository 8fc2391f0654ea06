"""Deployment files for releases behind the official TensorFlow Serving image: Compose, Kubernetes, KServe.

`served` (reads the releases) -> `deployment` (fills templates) -> `folder` (writes all files or none). Beside
them `training_job`: the manifest of a training on several workers.
"""

from __future__ import annotations

from keras_dl_serving.deploy.deployment import IMAGE, write_deployment
from keras_dl_serving.deploy.training_job import training_job

__all__ = ["IMAGE", "training_job", "write_deployment"]
