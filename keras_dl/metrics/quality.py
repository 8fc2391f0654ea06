"""How good generated images are, in the features of the LeNet that this package ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.metrics.distances import frechet_distance, kernel_distance, precision_recall
from keras_dl.metrics.lenet import LeNetOutputs, lenet_outputs


class Floored(NamedTuple):
    """A distance of generated images from real ones, never without what real images have among themselves.

    Attributes:
        value: generated images against real test images.
        floor: as many real training images against the same test images; but for noise, no model does
            better.
    """

    value: float
    floor: float

    def __str__(self) -> str:
        return f"{self.value:.4g} (floor, real train against real test: {self.floor:.4g})"


class ClassCoverage(NamedTuple):
    """Which classes occur among samples.

    Attributes:
        covered: the number of classes that occur.
        shares: each class's share of the samples, (K,).
    """

    covered: int
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class SampleQuality:
    """How generated images compare with real ones.

    Attributes:
        num_images: generated images, and as many real ones.
        fld: Frechet LeNet distance.
        kernel: kernel distance in the same features.
        precision: share of generated images inside the manifold of real test images.
        recall: share of real test images inside the manifold of generated ones.
        classes: how the LeNet's classes are covered.
    """

    num_images: int
    fld: Floored
    kernel: Floored
    precision: float
    recall: float
    classes: ClassCoverage

    def figures(self) -> dict[str, float]:
        """All of it as plain numbers by name, each distance beside its floor."""
        return {
            "num_images": self.num_images,
            "fld": self.fld.value,
            "fld_floor": self.fld.floor,
            "kernel_distance": self.kernel.value,
            "kernel_distance_floor": self.kernel.floor,
            "precision": self.precision,
            "recall": self.recall,
            "classes_covered": self.classes.covered,
        }

    def __str__(self) -> str:
        return (
            f"FLD {self.fld}, kernel distance {self.kernel}, precision {self.precision:.3f}, "
            f"recall {self.recall:.3f}, {self.classes.covered}/{len(self.classes.shares)} classes, "
            f"{self.num_images:,} images"
        )


def sample_quality(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike, *, neighbours: int = 3
) -> SampleQuality:
    """All measures of `keras_dl.metrics` for generated images at once.

    Args:
        generated: N images (N, 28, 28, 1) in [0, 1].
        train: at least N real images that the model was trained on; the first N give the floors.
        test: real images that it was not trained on. The Frechet distance falls as numbers grow, so
            compare at equal N and equal test images only.
        neighbours: k of precision and recall, which compare as many generated images as test images.

    Raises:
        ValueError: images of a wrong shape or range, fewer training images than generated ones.
    """
    fake, real_train, real_test = _outputs(generated, train, test)
    number = min(len(fake.features), len(real_test.features))
    precision, recall = precision_recall(
        real_test.features[:number], fake.features[:number], neighbours=neighbours
    )
    return SampleQuality(
        num_images=len(fake.features),
        fld=_fld(fake, real_train, real_test),
        kernel=Floored(
            kernel_distance(fake.features, real_test.features),
            kernel_distance(real_train.features, real_test.features),
        ),
        precision=precision,
        recall=recall,
        classes=class_coverage(fake.classes),
    )


def frechet_lenet_distance(generated: ArrayLike, train: ArrayLike, test: ArrayLike) -> Floored:
    """The Frechet distance (FLD) between the LeNet features of generated and of real test images.

    It comes with its floor. It is not the FID, which takes another network's features: values of the two
    cannot be compared.

    Args:
        generated: N images (N, 28, 28, 1) in [0, 1].
        train: at least N real images that the model was trained on; the first N give the floor.
        test: real images that it was not trained on.

    Raises:
        ValueError: images of a wrong shape or range, fewer training images than generated ones.
    """
    return _fld(*_outputs(generated, train, test))


def class_coverage(classes: ArrayLike, num_classes: int = 10, *, threshold: float = 0.1) -> ClassCoverage:
    """How many classes occur among samples.

    A class is covered if its share of the samples is at least `threshold` times the even share 1/K.

    Args:
        classes: a classifier's answers, (N,), for example `lenet_outputs(images).classes`.
        num_classes: K.
        threshold: 0.1 asks each of ten classes for one sample in a hundred.

    Raises:
        ValueError: no samples, or a class outside 0 ... K-1.
    """
    classes = np.asarray(classes)
    if classes.ndim != 1 or not len(classes) or classes.min() < 0 or classes.max() >= num_classes:
        raise ValueError(
            f"classes: expected at least one class from 0 to {num_classes - 1}, in shape (N,), got shape "
            f"{classes.shape}{f', from {classes.min()} to {classes.max()}' if classes.size else ''}. "
            "Pass a classifier's answers."
        )
    shares = np.bincount(classes, minlength=num_classes) / len(classes)
    return ClassCoverage(int((shares >= threshold / num_classes).sum()), shares)


def _outputs(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike
) -> tuple[LeNetOutputs, LeNetOutputs, LeNetOutputs]:
    generated, train = np.asarray(generated), np.asarray(train)
    if len(train) < len(generated):
        raise ValueError(
            f"train: expected at least as many images as were generated ({len(generated):,}), got "
            f"{len(train):,}. Pass more of the training split, or generate fewer."
        )
    return lenet_outputs(generated), lenet_outputs(train[: len(generated)]), lenet_outputs(test)


def _fld(fake: LeNetOutputs, real_train: LeNetOutputs, real_test: LeNetOutputs) -> Floored:
    return Floored(
        frechet_distance(fake.features, real_test.features),
        frechet_distance(real_train.features, real_test.features),
    )
