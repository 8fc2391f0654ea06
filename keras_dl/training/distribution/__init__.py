"""Training on several replicas: strategies, workers, time limits and gaps of Keras's `fit`.

`open_team` returns a `Team`, through which the rest of `keras_dl.training` reaches replicas and workers:

    team = open_team("mirrored")            # or "multi-worker", or None: one device
    with team.scope():                      # where the model is built
        model = recipe.build(splits)
    with team.training():                   # where `fit` runs
        model.fit(team.batches(...))

`strategies` opens a team, `cluster` reads `TF_CONFIG` and waits for the workers, `watchdog` ends a process
that waits without end, `exchange_errors` explains a lost worker, `keras_gaps` patches Keras's `fit`,
`data_fingerprint` compares the workers' data.
"""

from __future__ import annotations

from keras_dl.training.distribution.cluster import ClusterError
from keras_dl.training.distribution.data_fingerprint import fingerprint
from keras_dl.training.distribution.strategies import Strategy, check_for_replicas, open_team
from keras_dl.training.distribution.team import Team

__all__ = ["ClusterError", "Strategy", "Team", "check_for_replicas", "fingerprint", "open_team"]
