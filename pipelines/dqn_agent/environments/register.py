"""Which environments there are: Gymnasium's, Atari's, our own two, and those of a module that the user names.

Code of a user runs only when the user names its module on the command line, as in
`--set environment.module=my_package.envs`: the name of a module in a card is shown, never imported, and an id of the
form `module:Name-v0`, which Gymnasium would import, is refused. The module has to be importable (installed, or on
PYTHONPATH) and to register its environments.
"""

import difflib
import importlib
import re

import gymnasium
from gymnasium.envs.registration import EnvSpec

from pipelines.dqn_agent.environments.inventory import HORIZON_DAYS as INVENTORY_DAYS
from pipelines.dqn_agent.environments.maintenance import HORIZON_DAYS as MAINTENANCE_DAYS
from shared.errors import RequestError

INVENTORY, MAINTENANCE = "fieldwork/InventoryControl-v0", "fieldwork/MachineMaintenance-v0"
ATARI = "ALE/"
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PLACE = "pipelines.dqn_agent.environments"


def registered(env_id: str, module: str | None = None) -> EnvSpec:
    """What Gymnasium knows of an environment. module: imported first, to register its own.

    Raises RequestError for an id that is unknown or would run code, and for a module that cannot be imported.
    """
    if not _ID.fullmatch(env_id):
        raise RequestError(
            f"Expected the id of an environment, such as CartPole-v1. Received {env_id!r:.100}. "
            "A module is named by --set environment.module=..."
        )
    _register_own()
    if env_id.startswith(ATARI):
        gymnasium.register_envs(importlib.import_module("ale_py"))
    if module is not None:
        _import(module)
    if env_id not in gymnasium.registry:
        close = difflib.get_close_matches(env_id, gymnasium.registry, n=3, cutoff=0.5)
        meant = f" Did you mean {', '.join(close)}?" if close else ""
        raise RequestError(
            f"Expected a registered environment. Received {env_id}.{meant} "
            "If a module of yours registers it, name it: --set environment.module=..."
        )
    return gymnasium.registry[env_id]


def _register_own() -> None:
    own = (
        (INVENTORY, "inventory:Inventory", INVENTORY_DAYS),
        (MAINTENANCE, "maintenance:Maintenance", MAINTENANCE_DAYS),
    )
    for env_id, place, days in own:
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point=f"{_PLACE}.{place}Env",
                vector_entry_point=f"{_PLACE}.{place}VectorEnv",
                max_episode_steps=days,
            )


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        raise RequestError(
            f"environment.module: Expected an importable module. Received {module}: "
            f"{type(error).__name__}: {error!s:.200}. Install it, or put its folder on PYTHONPATH."
        ) from error
