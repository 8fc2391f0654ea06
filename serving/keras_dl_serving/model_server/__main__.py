"""`python -m keras_dl_serving.model_server`: the command `keras-dl-model-server`."""

import sys

from keras_dl_serving.model_server.model_server import main

sys.exit(main())
