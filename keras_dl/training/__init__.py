"""Training of recipes into run folders, and reading of run folders.

A run folder, `runs/<recipe>-<time>/` by default:

    recipe.json       the configuration of the run: name, data, settings, seed, epochs, ...
    history.csv       a row per epoch: epoch, seconds, learning rates, training metrics, val_ metrics
    checkpoints/      epoch-0007.npz: model, optimizers and random state after 7 epochs (the newest two);
                      best.npz: after the best epoch, if patience is set
    tensorboard/      the same metrics as TensorBoard events
    model.keras       the trained model with its optimizers
    evaluation.npz    arrays of the evaluation, such as confusion_matrix and class_names
    samples/          learning-curves.png, and depending on the task confusion-matrix.png, samples.png,
                      reconstructions.png, latent-traversal.png; <name>-0005.png are those of epoch 5
    report.html       a report of all of these
    metrics.json      figures (name -> value on the test split), goals, seed, epochs, minutes, data,
                      parameters, precision, versions; written last: a folder that has it is complete

All files are written atomically. A folder without `metrics.json` is an incomplete run;
`train(..., out=folder, resume=True)` resumes it, with the same final weights as an uninterrupted run. During
training, the lock file .training.lock reserves the folder; the lock is released when its process ends.
"""

# ruff: noqa: E402 - Keras selects its backend on import
from __future__ import annotations

from keras_dl_export.backend import require_tensorflow_backend

require_tensorflow_backend()

from keras_dl.training.fitting import train
from keras_dl.training.interruption import TrainingInterrupted
from keras_dl.training.reproducibility import make_reproducible
from keras_dl.training.runs import Run, evaluate, load_run, sample

__all__ = ["Run", "TrainingInterrupted", "evaluate", "load_run", "make_reproducible", "sample", "train"]
