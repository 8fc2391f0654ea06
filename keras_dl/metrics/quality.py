"""Quality of generated images in the features of the LeNet in this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_dl.metrics.distances import frechet_distance, kernel_distance, precision_recall
from keras_dl.metrics.lenet import LeNetOutputs, lenet_outputs
from keras_dl.renamed import renamed


class DistanceWithFloor(NamedTuple):
    """A distance between generated and real images, with its floor, the distance between real images.

    Attributes:
        value: the distance from the generated images to real test images.
        floor: the distance from equally many real training images to the same test images; except for noise,
            no model has a smaller one.
    """

    value: float
    floor: float

    def __str__(self) -> str:
        return f"{self.value:.4g} (floor, real train against real test: {self.floor:.4g})"


Floored = DistanceWithFloor  # the former name


class ClassCoverage(NamedTuple):
    """The classes that occur among samples.

    Attributes:
        covered: the number of classes that occur.
        shares: the fraction of the samples in each class, (K,).
    """

    covered: int
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class SampleQuality:
    """A comparison of generated images with real ones.

    Attributes:
        num_images: the number of generated images, and of real ones.
        fld: Frechet LeNet distance.
        kernel: kernel distance in the same features.
        precision: fraction of generated images inside the manifold of real test images.
        recall: fraction of real test images inside the manifold of generated ones.
        classes: coverage of the classes of the LeNet.
    """

    num_images: int
    fld: DistanceWithFloor
    kernel: DistanceWithFloor
    precision: float
    recall: float
    classes: ClassCoverage

    def figures(self) -> dict[str, float]:
        """Return all metrics as numbers by name, each distance with its floor."""
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


@renamed(neighbors="neighbours")
def sample_quality(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike, *, neighbors: int = 3
) -> SampleQuality:
    """Return all metrics of `keras_dl.metrics` for generated images.

    Args:
        generated: N images (N, 28, 28, 1) in [0, 1].
        train: at least N real images that the model was trained on; the floors use the first N.
        test: real images that it was not trained on. The Frechet distance decreases with the number of
            images: compare only at equal N and equal test images.
        neighbors: k of precision and recall, which compare equally many generated and test images.

    Raises:
        ValueError: images have an invalid shape or range, or there are fewer training than generated images.
    """
    fake, real_train, real_test = _outputs(generated, train, test)
    number = min(len(fake.features), len(real_test.features))
    precision, recall = precision_recall(
        real_test.features[:number], fake.features[:number], neighbors=neighbors
    )
    return SampleQuality(
        num_images=len(fake.features),
        fld=_fld(fake, real_train, real_test),
        kernel=DistanceWithFloor(
            kernel_distance(fake.features, real_test.features),
            kernel_distance(real_train.features, real_test.features),
        ),
        precision=precision,
        recall=recall,
        classes=class_coverage(fake.classes),
    )


def frechet_lenet_distance(generated: ArrayLike, train: ArrayLike, test: ArrayLike) -> DistanceWithFloor:
    """Return the Frechet distance (FLD) between the LeNet features of generated and real test images.

    The result includes its floor. It is not the FID, which uses the features of another network: their values
    are not comparable.

    Args:
        generated: N images (N, 28, 28, 1) in [0, 1].
        train: at least N real images that the model was trained on; the floor uses the first N.
        test: real images that it was not trained on.

    Raises:
        ValueError: images have an invalid shape or range, or there are fewer training than generated images.
    """
    return _fld(*_outputs(generated, train, test))


def class_coverage(classes: ArrayLike, num_classes: int = 10, *, threshold: float = 0.1) -> ClassCoverage:
    """Return how many classes occur among samples.

    A class is covered if its fraction of the samples is at least `threshold` times the uniform fraction 1/K.

    Args:
        classes: the predictions of a classifier, (N,), for example `lenet_outputs(images).classes`.
        num_classes: K.
        threshold: with 0.1 and ten classes, a class is covered by one sample in a hundred.

    Raises:
        ValueError: there are no samples, or a class is outside 0 ... K-1.
    """
    classes = np.asarray(classes)
    if classes.ndim != 1 or not len(classes) or classes.min() < 0 or classes.max() >= num_classes:
        raise ValueError(
            f"classes: expected at least one class from 0 to {num_classes - 1}, in shape (N,), got shape "
            f"{classes.shape}{f', from {classes.min()} to {classes.max()}' if classes.size else ''}. "
            "Pass the predictions of a classifier."
        )
    shares = np.bincount(classes, minlength=num_classes) / len(classes)
    return ClassCoverage(int((shares >= threshold / num_classes).sum()), shares)


def _outputs(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike
) -> tuple[LeNetOutputs, LeNetOutputs, LeNetOutputs]:
    generated, train = np.asarray(generated), np.asarray(train)
    if len(train) < len(generated):
        raise ValueError(
            f"train: expected at least as many images as generated ({len(generated):,}), got {len(train):,}. "
            "Pass more of the training split, or generate fewer images."
        )
    return lenet_outputs(generated), lenet_outputs(train[: len(generated)]), lenet_outputs(test)


def _fld(fake: LeNetOutputs, real_train: LeNetOutputs, real_test: LeNetOutputs) -> DistanceWithFloor:
    return DistanceWithFloor(
        frechet_distance(fake.features, real_test.features),
        frechet_distance(real_train.features, real_test.features),
    )
