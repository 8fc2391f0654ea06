"""The models that a server is to serve, and TensorFlow Serving's `ModelServerConfig` that lists them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_dl_serving.errors import InvalidArgumentError, UnimplementedError
from keras_dl_serving.protocol.wire import messages

_log = logging.getLogger("keras_dl_serving")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+")
PLATFORMS = ("tensorflow", "onnx", "tflite")
_TENSORFLOW = 1  # in the deprecated field model_type


@dataclass(frozen=True)
class VersionPolicy:
    """The versions of a model to serve.

    Attributes:
        newest: how many of the newest versions; None for all.
        specific: exactly these versions, instead of `newest`.
    """

    newest: int | None = 1
    specific: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """A model to be served.

    Attributes:
        name: the name by which clients call it.
        base_path: the folder of its versions.
        platform: `tensorflow`, `onnx` or `tflite`.
        policy: the versions to serve.
        labels: the version of each label.

    Raises:
        InvalidArgumentError: the name is empty.
    """

    name: str
    base_path: Path
    platform: str = "tensorflow"
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidArgumentError(f"Expected the model at {self.base_path} to have a name; got name()=")


def local_path(text: str) -> Path:
    """Return a base path as a path of this machine.

    Raises:
        UnimplementedError: it is in a file system of another kind.
    """
    scheme, separator, rest = text.partition(":/")
    if not separator or not _SCHEME.fullmatch(scheme):
        return Path(text)
    double, rest = rest.startswith("/"), rest.removeprefix("/")  # a `Path` keeps one slash of the two
    if scheme != "file":
        raise UnimplementedError(
            f"File system scheme '{scheme}' not implemented (file: '{scheme}://{rest}'). Mount it, or copy "
            "the model to a folder of this machine."
        )
    return Path(rest if double else f"/{rest}")


def model_configs(proto: messages.ModelServerConfig) -> list[ModelConfig]:
    """Return the models of a config.

    Raises:
        InvalidArgumentError: a duplicate or missing name, a missing or unknown platform, an invalid policy.
        UnimplementedError: a model is in a file system that is not this machine's.
    """
    found: dict[str, ModelConfig] = {}
    for each in proto.model_config_list.config:
        if each.name in found:
            raise InvalidArgumentError(f"Illegal to list model {each.name} multiple times in config list")
        if not each.base_path:
            raise InvalidArgumentError(
                f"Expected model {each.name} to have an absolute path or URI; got base_path()="
            )
        if each.HasField("logging_config"):
            _log.warning("logging_config of model %s has no effect on this server", each.name)
        found[each.name] = ModelConfig(
            each.name, local_path(each.base_path), _platform(each), _policy(each), dict(each.version_labels)
        )
    return list(found.values())


def check_platforms(old: Sequence[ModelConfig], new: Sequence[ModelConfig]) -> None:
    """Check that models keep their platform.

    Raises:
        InvalidArgumentError: one does not.
    """
    platforms = {config.name: config.platform for config in old}
    for config in new:
        platform = platforms.get(config.name, config.platform)
        if platform != config.platform:
            raise InvalidArgumentError(
                f"Illegal to change a model's platform. For model {config.name} platform was {platform} "
                f"and new platform requested is {config.platform}"
            )


def _platform(proto: messages.ModelConfig) -> str:
    if proto.model_type:
        if proto.model_platform:
            raise InvalidArgumentError(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                "ModelServerConfig::model_platform."
            )
        if proto.model_type != _TENSORFLOW:
            raise InvalidArgumentError(
                f"ModelServerConfig::model_type choice {proto.model_type} not supported."
            )
        return "tensorflow"
    if not proto.model_platform:
        raise InvalidArgumentError(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform."
        )
    if proto.model_platform not in PLATFORMS:
        raise InvalidArgumentError(f"Model {proto.name} requests unsupported platform {proto.model_platform}")
    return proto.model_platform


def _policy(proto: messages.ModelConfig) -> VersionPolicy:
    policy = proto.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return VersionPolicy(newest=None)
        case "specific":
            if not policy.specific.versions:
                raise InvalidArgumentError(
                    f"Model {proto.name} is to serve specific versions, but names none"
                )
            return VersionPolicy(specific=tuple(policy.specific.versions))
        case "latest":
            # Zero may be an unset number.
            return VersionPolicy(newest=policy.latest.num_versions or 1)
        case _:
            return VersionPolicy()
