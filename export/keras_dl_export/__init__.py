"""Any Keras 3 model -> a release. Names are imported on first use: importing this costs no TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
