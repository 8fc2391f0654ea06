"""Write the example in serving/deploy: `python -m keras_dl_serving.deploy.example serving/deploy`."""

from __future__ import annotations

import sys
from pathlib import Path

from keras_dl_serving.deploy.deployment import render
from keras_dl_serving.deploy.folder import write_folder
from keras_dl_serving.deploy.served import Served

# An image classifier and an image generator, as `keras-dl quickstart` and `keras-dl export` write them.
MODELS = (Served("digits", joinable=True), Served("digits-vae", joinable=True))
RELEASES = "../../releases"


def main() -> None:
    """Write the example into the folder named by the only argument."""
    write_folder(Path(sys.argv[1]), render(MODELS, RELEASES))


if __name__ == "__main__":
    main()
