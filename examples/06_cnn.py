"""Convolution: a dense layer with few, shared weights, and a CNN that classifies digits.

    python examples/06_cnn.py [--quick] [--out FILE]

About 15 seconds. Expected: layer and matrix agree to 1e-6; the CNN classifies at least 9 of 10 digits after a
few epochs.
"""

import numpy as np
from chapter import chapter

from keras_dl.data import load
from keras_dl.layers import Conv2D
from keras_dl.models import CNN
from keras_dl.reports.theory_figures import plot_images, plot_lines, plot_matrix
from keras_dl.theory import conv_output_size, convolution_matrix, pool_output_size


def main():
    page = chapter(13, 3.8)
    first, second, third, fourth = page.axes(4)
    images, _ = next(load("digits", "test", batch_size=8).as_numpy_iterator())
    edges = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(3, 3, 1, 1)
    layer = Conv2D(1, 3, padding=1, use_bias=False)
    layer.build(images.shape)
    layer.set_weights([edges])
    maps = np.asarray(layer(images))
    matrix = convolution_matrix(edges, 8, 8, padding=1)
    by_matrix = (images.reshape(8, -1) @ matrix).reshape(maps.shape)
    print(f"Convolution against dense matrix: largest difference {np.abs(maps - by_matrix).max():.1e}")
    size = conv_output_size(8, kernel_size=3, stride=2, padding=1)
    print(f"8 pixels, kernel 3, stride 2, padding 1: {size}")
    print(f"8 pixels, pooling 2: {pool_output_size(8, 2)}")
    shown = np.concatenate([images[:4], (maps[:4] - maps.min()) / np.ptp(maps)])
    plot_images(first, shown, columns=4, title="digits, and one feature map")
    share = (matrix != 0).mean()
    plot_matrix(
        second,
        matrix.T,
        title=f"as a matrix: {share:.0%} nonzero",
        xlabel="input pixel",
        ylabel="output pixel",
    )

    weights = {"dense": [], "convolution": []}
    sides = np.array([8, 16, 32, 64, 128])
    for side in sides:
        weights["dense"].append(side**2 * conv_output_size(int(side), kernel_size=3) ** 2)
        weights["convolution"].append(9)
    plot_lines(
        third,
        sides,
        weights,
        xlabel="side of the image",
        ylabel="weights",
        title="weights of one feature map",
        log="xy",
    )

    model = CNN(num_classes=10, image_shape=(8, 8, 1))
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    train, test = load("digits", ("train", "test"), seed=0)
    history = model.fit(train, validation_data=test, epochs=6 if page.quick else 15, verbose=0).history
    print(f"Test accuracy {history['val_accuracy'][-1]:.3f}")
    curves = {"train": history["accuracy"], "test": history["val_accuracy"]}
    plot_lines(
        fourth,
        range(1, len(curves["train"]) + 1),
        curves,
        xlabel="epoch",
        ylabel="accuracy",
        title="a CNN on digits",
    )
    page.save()


if __name__ == "__main__":
    main()
