"""The models that the network has to beat, on the same machines.

`constant`: the mean of what is learnt. `age`: the mean life less the machine's age, a calendar. `linear`: ridge
regression on window statistics. `gradient_boosting`: on the same statistics, the strongest in published comparisons.
Both see the last 30 readings of every scaled channel, as there.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from pipelines.predictive_maintenance.config import MaintenanceConfig
from pipelines.predictive_maintenance.features import Prepared
from pipelines.predictive_maintenance.fleet import Fleet
from pipelines.predictive_maintenance.targets import Scale, Targets
from pipelines.predictive_maintenance.windows import Windows

TITLES = {
    "gradient_boosting": "Gradient boosting",
    "linear": "Linear regression",
    "age": "Mean life less age",
    "constant": "Constant",
}
_ROWS_AT_ONCE = 4096
# As published, whatever the networks look back on: a rival that a preset makes weaker would prove nothing.
_WINDOW_LENGTH = 30


def baseline_windows(prepared: Prepared) -> Windows:
    """The windows that baselines see, of every row."""
    return Windows.of(prepared.values, prepared.fleet.first_row, _WINDOW_LENGTH)


def window_statistics(windows: Windows) -> np.ndarray:
    """Of every window and channel: last, mean, standard deviation, last less first, slope; float32, (rows, 5 C)."""
    place = torch.arange(windows.length, dtype=torch.float32) - (windows.length - 1) / 2
    place = (place / place.square().sum())[None, :, None]
    parts = []
    for rows in torch.arange(len(windows)).split(_ROWS_AT_ONCE):
        window = windows.gather(rows)
        last, change = window[:, -1], window[:, -1] - window[:, 0]
        spread, mean = torch.std_mean(window, dim=1, correction=0)
        parts.append(torch.cat([last, mean, spread, change, (window * place).sum(1)], 1))
    return torch.cat(parts).numpy()


def fit_baselines(
    train: Fleet, targets: Targets, windows: Windows, scale: Scale, config: MaintenanceConfig
) -> Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Each baseline as a function of window statistics and ages, (rows,), to remaining life from 0 to the cap.

    train: on its grid, whose rows `targets` and `windows` belong to. Rows with a known target are learnt from.
    """
    known = ~targets.is_bound
    statistics, rul = window_statistics(windows)[known], targets.rul[known]
    spans = train.time[train.offsets[1:] - 1] - train.lives.start
    mean_life = float(spans[train.lives.failed].mean())
    linear = _linear(statistics, rul)
    boosting = _boosting(statistics, rul, config)
    mean = float(rul.mean())

    def within(values: np.ndarray) -> np.ndarray:
        return np.clip(values, 0.0, scale.cap)

    return {
        "gradient_boosting": lambda window, age: within(boosting(window)),
        "linear": lambda window, age: within(linear(window)),
        "age": lambda window, age: within(mean_life - age),
        "constant": lambda window, age: np.full(len(age), mean),
    }


def _linear(statistics: np.ndarray, rul: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import Ridge

    spread = statistics.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    model = Ridge(alpha=1.0).fit(statistics / scale, rul)
    return lambda window: np.asarray(model.predict(window / scale))


def _boosting(
    statistics: np.ndarray, rul: np.ndarray, config: MaintenanceConfig
) -> Callable[[np.ndarray], np.ndarray]:
    """Its settings are fixed, not chosen on any of these data."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=config.evaluation.boosting_rounds,
        learning_rate=0.04,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=1.0,
        max_features=0.5,
        random_state=config.seed,
    ).fit(statistics, rul)
    return lambda window: np.asarray(model.predict(window))
