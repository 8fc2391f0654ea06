"""Deep learning from the equation to the endpoint.

Submodules are imported on first use, so that ``import keras_dl`` (and with it the serving client) does not
import TensorFlow:

    >>> import keras_dl as kdl
    >>> model = kdl.models.CNN(num_classes=10, image_shape=(28, 28, 1))
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
