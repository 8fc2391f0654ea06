"""A server with TensorFlow Serving's API, and a client without TensorFlow.

Names are imported on first use: importing the package, or `Client` from it, costs no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
