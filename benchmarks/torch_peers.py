"""The same networks in PyTorch, trained eagerly as in its tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Step = Callable[[], object]


def use_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def parameter_count(*networks: Any) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


class VAE(nn.Module):
    """`keras_dl.models.VAE` for 28 x 28 images, with its default widths.

    Args:
        latent_dim: Z.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(7 * 7 * 64, 256),
            nn.ReLU(),
            nn.Linear(256, 2 * latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 256),
            nn.ReLU(),
            nn.Linear(256, 7 * 7 * 64),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1),
        )

    def forward(self, image: Any) -> Any:
        """Return the negative ELBO of a batch, the mean over its images."""
        mean, log_variance = self.encoder(image).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        pixels = F.binary_cross_entropy_with_logits(self.decoder(z), image, reduction="sum")
        kl = 0.5 * torch.sum(mean**2 + torch.exp(log_variance) - 1.0 - log_variance)
        return (pixels + kl) / len(image)


def vae_step(model: VAE, image: Any, *, compiled: bool = False) -> Step:
    """Return a step of Adam on a batch of images (B, H, W, C)."""
    x = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()
    loss = torch.compile(model) if compiled else model
    return _adam_step(model, lambda: loss(x))


def cnn() -> Any:
    """Return `keras_dl.models.CNN` for 28 x 28 images, with its default widths."""
    blocks: list[Any] = []
    for inputs, maps in ((1, 32), (32, 64), (64, 64)):
        convolution = nn.Conv2d(inputs, maps, 3, padding=1, bias=False)
        blocks += [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(maps), nn.ReLU()]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(0.3), nn.Linear(3 * 3 * 64, 10))


def classifier_step(model: Any, features: Any, label: Any, *, images: bool = False) -> Step:
    """Return a step of Adam on the cross-entropy of (features, label); images are (B, H, W, C)."""
    x, y = torch.from_numpy(features), torch.from_numpy(label).long()
    if images:
        x = x.permute(0, 3, 1, 2).contiguous()
    return _adam_step(model, lambda: F.cross_entropy(model(x), y))


def _adam_step(model: Any, loss: Callable[[], Any]) -> Step:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> object:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return step


class Generator(nn.Module):
    """The generator of `keras_dl.models.DCGAN` for 28 x 28 images."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(100, 7 * 7 * 128, bias=False),
            nn.Unflatten(1, (128, 7, 7)),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Any) -> Any:
        """Map latents to images in [0, 1]."""
        return 0.5 * self.layers(z) + 0.5


class Discriminator(nn.Module):
    """The discriminator of `keras_dl.models.DCGAN` for 28 x 28 images."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(7 * 7 * 128, 1),
        )

    def forward(self, image: Any) -> Any:
        """Map images in [0, 1] to logits."""
        return self.layers(2.0 * image - 1.0)


def gan_step(generator: Generator, discriminator: Discriminator, image: Any) -> Step:
    """Return a step of both players with one generator forward pass, as in PyTorch's DCGAN tutorial."""
    real = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()
    of_generator, of_discriminator = (
        torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for player in (generator, discriminator)
    )
    ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)

    def step() -> object:
        fake = generator(2.0 * torch.rand(len(real), 100) - 1.0)
        of_discriminator.zero_grad()
        on_real = F.binary_cross_entropy_with_logits(discriminator(real), ones)
        on_real.backward()
        on_fake = F.binary_cross_entropy_with_logits(discriminator(fake.detach()), zeros)
        on_fake.backward()
        of_discriminator.step()
        of_generator.zero_grad()
        loss = F.binary_cross_entropy_with_logits(discriminator(fake), ones)
        loss.backward()
        of_generator.step()
        return loss.item(), on_real.item() + on_fake.item()

    return step


class SequenceClassifier(nn.Module):
    """A recurrent layer and a linear head on its last output.

    PyTorch's LSTM and GRU have a second bias, for the state, and its GRU applies the reset gate after the
    product.

    Args:
        cell: `"lstm"`, `"gru"` or `"rnn"`, which has no bias and is followed by V.
        features: D.
        units: H.
    """

    def __init__(self, cell: str, features: int, units: int) -> None:
        super().__init__()
        layer = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
        self.recurrent = layer(features, units, batch_first=True, bias=cell != "rnn")
        self.readout = nn.Linear(units, units, bias=False) if cell == "rnn" else nn.Identity()
        self.head = nn.Linear(units, 10)

    def forward(self, sequence: Any) -> Any:
        """Map sequences (B, T, D) to logits (B, 10)."""
        outputs, _ = self.recurrent(sequence)
        return self.head(self.readout(outputs[:, -1]))
