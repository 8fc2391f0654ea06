"""The conditional GAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
from keras import ops

from keras_dl.arguments import check_sizes
from keras_dl.models.batch_checks import checked_classes
from keras_dl.models.gan.adversarial_losses import LossName, penalty_weight
from keras_dl.models.gan.gan import GAN
from keras_dl.models.gan.gan_networks import convolutional_players
from keras_dl.models.latent_space import analogy, straight_line
from keras_dl.models.model_options import ModelOptions
from keras_dl.renamed import arrays_by_keyword
from keras_dl_export import Endpoint, Spec


@keras.saving.register_keras_serializable("keras_dl")
class ConditionalGAN(GAN):
    """A deep convolutional GAN whose players are both conditioned on the class y.

        G: (z, y) -> x,  D: (x, y) -> l, the logit of "x is real and of class y"

        min_G max_D  E_{x,y}[log sigma(D(x, y))] + E_{z,y}[log(1 - sigma(D(G(z, y), y)))]

    G receives the noise concatenated with the class, [z; e_y] (`ClassConcatenation`). D adds to its logit the
    projection of the features of the image on the embedding of the class (`ClassProjection`). In training,
    images are generated for the classes of the real batch. `fit` and `evaluate` take (images, labels).
    Calling the model on (z, y) generates images.

    Args:
        num_classes: K.
        image_shape: (H, W, C).
        latent_dim: Z.
        loss: as in `GAN`.
        filters: numbers of feature maps of the convolutions of D; G mirrors them.
        kernel_size: kernel size of all convolutions.
        gradient_penalty: as in `GAN`.
        **kwargs: `prior`, `discriminator_steps`, `label_smoothing`, `ema_momentum` and `seed`, as in `GAN`.

    Shapes: latents (B, Z); images (B, H, W, C) in [0, 1]; labels (B,), integers from 0 to K - 1.

    Raises:
        ValueError: an argument is out of range; in training, images have another shape or values outside
            [0, 1], or labels are missing or not classes.

    Reference: notes 4.2.2; Mirza and Osindero, Conditional generative adversarial nets (2014); Miyato and
        Koyama, cGANs with projection discriminator (ICLR 2018).
    """

    _conditions = 1

    def __init__(
        self,
        num_classes: int = 10,
        image_shape: Sequence[int] = (28, 28, 1),
        latent_dim: int = 100,
        loss: LossName = "non_saturating",
        *,
        filters: Sequence[int] = (64, 128),
        kernel_size: int = 4,
        gradient_penalty: float | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        players = convolutional_players(
            image_shape,
            latent_dim,
            filters,
            kernel_size,
            dtype=kwargs.get("dtype"),
            num_classes=num_classes,
            per_image=penalty_weight(loss, gradient_penalty) > 0,
        )
        super().__init__(*players, loss, gradient_penalty=gradient_penalty, **kwargs)
        self.num_classes = int(num_classes)
        self.filters = check_sizes("filters", filters)
        self.kernel_size = int(kernel_size)

    def checked_data(self, data: Any) -> tuple[Any, ...]:
        """Return the images of the batch and their classes."""
        _, label, _ = keras.utils.unpack_x_y_sample_weight(data)
        return *super().checked_data(data), checked_classes(label, self.num_classes)

    def checked_query(self, data: Any) -> Any:
        """Return the latents and the classes of the batch."""
        (z, label), _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._checked_latents(z), checked_classes(label, self.num_classes)

    @arrays_by_keyword("z", "label")
    def generate(self, count: int | None = None, *, z: Any = None, label: Any = None, seed: int = 0) -> Any:
        """Generate images G(z, y).

        Args:
            count: N, the number of latents to draw from the prior; by default one per label, or one per class
                without labels.
            z: latents (N, Z) instead.
            label: classes (N,), or one class for all; None cycles through the classes.
            seed: seed of the drawn latents; equal seeds give equal images.

        Returns:
            Images (N, H, W, C).

        Raises:
            ValueError: a label is not a class, or the numbers of labels and latents differ.
        """
        if count is None:
            count = self.num_classes if label is None else int(np.size(label))
        z = self._latents(count, z, seed)
        return self((z, self._as_labels(label, int(z.shape[0]))))

    def interpolate(self, start: Any, end: Any, steps: int = 8, label: Any = None) -> Any:
        """Generate images of one class on the straight line between two latents.

        Args:
            start: latents (B, Z) or (Z,).
            end: latents of the same shape.
            steps: S, both ends included.
            label: as in `generate`, one per pair of ends.

        Returns:
            Images (B, S, H, W, C), B = 1 for latents (Z,).
        """
        z = straight_line(start, end, steps)
        label = np.repeat(self._as_labels(label, int(z.shape[0])), steps)
        images = self.generate(z=ops.reshape(z, (-1, self.latent_dim)), label=label)
        return ops.reshape(images, (-1, steps, *self.image_shape))

    def arithmetic(self, start: Any, minus: Any, plus: Any, label: Any = None) -> Any:
        """Generate images of z = start - minus + plus, as in `GAN`.

        Args:
            start: latents (B, Z) or (Z,).
            minus: latents (B, Z) or (Z,).
            plus: latents (B, Z) or (Z,).
            label: as in `generate`.

        Returns:
            Images (B, H, W, C), B = 1 for latents (Z,).
        """
        return self.generate(z=analogy(start, minus, plus), label=label)

    def _as_labels(self, label: Any, count: int) -> Any:
        """Return the classes as an array (count,)."""
        labels = np.arange(count) % self.num_classes if label is None else np.asarray(label)
        if labels.dtype.kind not in "iu" or not np.all((labels >= 0) & (labels < self.num_classes)):
            raise ValueError(
                f"label: expected classes from 0 to {self.num_classes - 1}, got {label!r}. Number the "
                "classes from 0, or build the model with a larger num_classes."
            )
        if labels.ndim == 0:
            labels = np.full(count, labels)
        if labels.shape != (count,):
            raise ValueError(
                f"label: expected one class, or {count}, one per latent, got shape {labels.shape}. Pass one "
                "label per latent."
            )
        return labels.astype("int32")

    def endpoints(self) -> dict[str, Endpoint]:
        """Return `serving_default` (generate), with z drawn by the caller, and `discriminate`."""
        z = Spec(("batch", self.latent_dim), "float32")
        image = Spec(("batch", *self.image_shape), "float32")
        label = Spec(("batch",), "int32")
        return {
            "serving_default": Endpoint(
                lambda z, label: {"image": self((z, label))}, {"z": z, "label": label}
            ),
            "discriminate": Endpoint(
                lambda image, label: {"logits": self.discriminate((image, label))},
                {"image": image, "label": label},
            ),
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["generator"], config["discriminator"]
        names = ("num_classes", "image_shape", "latent_dim", "filters", "kernel_size")
        return {**config, **{name: getattr(self, name) for name in names}}
