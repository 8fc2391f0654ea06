from . import callbacks, data, export, layers, metrics, models, recipes, serving, theory, training
from .models import load_model

__version__: str

__all__ = [
    "callbacks",
    "data",
    "export",
    "layers",
    "load_model",
    "metrics",
    "models",
    "recipes",
    "serving",
    "theory",
    "training",
]
