"""Run a recipe into a run folder, and read run folders back.

A run folder, `runs/<recipe>-<time>/` by default:

    recipe.json       what was asked for: name, data, settings, seed, epochs, ...
    history.csv       a row an epoch: epoch, seconds, learning rates, training figures, val_ figures
    checkpoints/      epoch-0007.npz: model, optimizers and random state after 7 epochs (the newest two);
                      best.npz: after the best epoch, where patience is set
    tensorboard/      the same figures as TensorBoard events
    model.keras       the trained model with its optimizers
    evaluation.npz    arrays behind the test figures, such as confusion_matrix and class_names
    samples/          learning-curves.png, and by the kind of model confusion-matrix.png, samples.png,
                      reconstructions.png, latent-traversal.png; <name>-0005.png are those of epoch 5
    report.html       all of it to look at
    metrics.json      figures (name -> value on the test split), goals, seed, epochs, minutes, data,
                      parameters, precision, versions; written last: a folder that has it is complete

Every file appears whole or not at all. A folder without `metrics.json` is a training that was broken off;
`train(..., out=folder, resume=True)` goes on with it, to the same weights as if it had never stopped. While a
training runs, the file .training.lock keeps others out of its folder; it counts as long as its process lives.
"""

# ruff: noqa: E402 - Keras chooses its backend when it is imported
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.training.fitting import train
from keras_dl.training.interruption import TrainingInterrupted
from keras_dl.training.reproducibility import make_reproducible
from keras_dl.training.runs import Run, evaluate, load_run, sample

__all__ = ["Run", "TrainingInterrupted", "evaluate", "load_run", "make_reproducible", "sample", "train"]
