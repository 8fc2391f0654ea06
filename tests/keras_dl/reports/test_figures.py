import numpy as np
import pytest

from keras_dl.reports import figures


def shown(figure):
    """The pixels of the figure's one picture."""
    return np.asarray(figure.axes[0].images[0].get_array())


def flat(*values):
    """2 x 3 gray images, each of one value."""
    return np.stack([np.full((2, 3, 1), value) for value in values])


def test_a_grid_lays_images_row_by_row_with_white_lines_between():
    pixels = shown(figures.image_grid(flat(0.1, 0.2, 0.3), columns=2))
    assert pixels.shape == (2 + 1 + 2, 3 + 1 + 3)
    np.testing.assert_allclose(pixels[0], [0.1] * 3 + [1] + [0.2] * 3)
    np.testing.assert_allclose(pixels[4], [0.3] * 3 + [1] * 4)
    np.testing.assert_allclose(pixels[2], 1)


def test_a_grid_of_colors_keeps_them_and_clips_values_out_of_range():
    images = np.zeros((1, 2, 2, 3))
    images[..., 1] = 1.7
    np.testing.assert_array_equal(shown(figures.image_grid(images)), np.broadcast_to([0, 1, 0], (2, 2, 3)))


@pytest.mark.parametrize("shape", [(4, 8, 8), (0, 8, 8, 1), (4, 8, 8, 2)])
def test_an_array_that_is_not_a_batch_of_images_is_refused(shape):
    with pytest.raises(ValueError, match=r"images: expected shape \(N, H, W, C\)"):
        figures.image_grid(np.zeros(shape))


def test_reconstructions_stand_below_their_originals():
    figure = figures.reconstructions(flat(0.1, 0.2, 0.3), flat(0.6, 0.7, 0.8), columns=2)
    middles = shown(figure)[::3][:, 1::4]  # one pixel of each image
    np.testing.assert_allclose(middles, [[0.1, 0.2], [0.6, 0.7], [0.3, 1], [0.8, 1]])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["original", "model"] * 2


def test_reconstructions_of_other_images_are_refused():
    with pytest.raises(ValueError, match="expected images of the shape of the originals,"):
        figures.reconstructions(flat(0.1, 0.2), flat(0.1))


def test_a_traversal_has_a_row_a_latent_and_names_it():
    images = np.stack([flat(0.1, 0.2, 0.3), flat(0.4, 0.5, 0.6)])
    figure = figures.latent_traversal(images, [-1, 0, 1], latents=[3, 7])
    np.testing.assert_allclose(shown(figure)[::3][:, 1::4], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$z_{4}$", "$z_{8}$"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["-1.0", "+0.0", "+1.0"]


def test_a_confusion_matrix_is_shaded_by_shares_of_the_true_class_and_shows_the_counts():
    figure = figures.confusion_matrix([[3, 1, 0], [0, 8, 0], [0, 0, 0]], ["a", "b", "c"])
    np.testing.assert_allclose(shown(figure), [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]])
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert texts == {(0, 0): "3", (1, 0): "1", (1, 1): "8"}  # (prediction, truth)


def test_a_confusion_matrix_requires_a_name_for_each_class():
    with pytest.raises(ValueError, match=r"matrix: expected counts of shape \(1, 1\)"):
        figures.confusion_matrix(np.eye(2), ["a"])


def test_learning_curves_pair_training_with_validation():
    history = {
        "seconds": [9, 9],
        "learning_rate": [1, 0],
        "loss": [2, 1],
        "val_loss": [4, 3],
        "val_extra": [5, 6],
    }
    loss, extra = figures.learning_curves(history).axes
    assert {line.get_label(): list(line.get_ydata()) for line in loss.lines} == {
        "train": [2, 1],
        "validation": [4, 3],
    }
    assert list(loss.lines[0].get_xdata()) == [1, 2]
    assert [list(line.get_ydata()) for line in extra.lines] == [[5, 6]]


def test_without_a_history_there_are_no_curves():
    with pytest.raises(ValueError, match="history: expected at least one metric"):
        figures.learning_curves({"seconds": [1.0]})


def test_a_picture_is_complete_or_absent(tmp_path):
    figure = figures.image_grid(flat(0.5))
    path = figures.save(figure, tmp_path / "grid.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    before = path.read_bytes()

    def fail(*args, **kwargs):
        (tmp_path / ".draft-grid.png").write_bytes(b"half")
        raise OSError("disk full")

    figure.savefig = fail
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
