"""What the notes prove, as functions that return numbers. `keras_dl.reports.theory_figures` draws them.

Names are imported when they are first used: the formulas need NumPy alone, `bump_network` and `tower_network`
need Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
