"""The theorems of the notes as functions that return numbers; `keras_dl.reports.theory_figures` plots them.

Names are imported on first use: the formulas need only NumPy, `bump_network` and `tower_network` need Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
