"""From a source to an environment card that was held against its environment.

A source is `synthetic` (stock control), the id of a registered environment, or the path of a card.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.dqn_agent.cards import CONTRACT, Card, read_card
from pipelines.dqn_agent.checking import check
from pipelines.dqn_agent.config import EnvironmentConfig
from pipelines.dqn_agent.environments.register import INVENTORY
from pipelines.dqn_agent.known import card_of
from pipelines.dqn_agent.make import Stepper, make_vector
from pipelines.dqn_agent.schema import decisions_contract, observations_contract
from shared.contracts.contract import load
from shared.contracts.table import TableCheck, check_table
from shared.data.files import sha256_file
from shared.data.public_sets import public_sets
from shared.errors import RequestError
from shared.orchestration.stored import SYNTHETIC, Source

CARD_SUFFIXES = (".yaml", ".yml", ".json")
_NUM_ENVS = 2
# They decide what an environment does, beside the code here and numpy.
_LIBRARIES = ("gymnasium", "ale-py", "box2d")


@dataclass(frozen=True, slots=True)
class Read:
    """A card that fits its environment; checked: the card under its contract."""

    card: Card
    checked: TableCheck
    notes: tuple[str, ...]


def environment_id(source: str) -> str:
    """The id of a source's environment. Raises RequestError for a card that cannot be read."""
    if source == SYNTHETIC:
        return INVENTORY
    return read_card(_path(source)).id if _is_path(source) else source


def identify(source: str, config: EnvironmentConfig) -> Source:
    """The source with one digest of the card, of the user's own module, and of the libraries that environments are in.

    Raises RequestError for a data set of another domain and for a file that is not there.
    """
    if source in public_sets():
        raise RequestError(
            f"Expected an environment. Received {source}, a data set of another domain.\n"
            f"There are {SYNTHETIC}, the id of an environment such as CartPole-v1, or the path of its card."
        )
    if source == SYNTHETIC:
        return Source(name=source, sha256="")
    digest = hashlib.sha256()
    for path in (*([_path(source)] if _is_path(source) else []), *_module_files(config.module)):
        digest.update(f"{path.name}\0{sha256_file(path)}\0".encode())
    for library in _LIBRARIES:
        digest.update(f"{library}={_version(library)}\0".encode())
    return Source(name=source, sha256=digest.hexdigest())


def read_environment(source: str, config: EnvironmentConfig) -> Read:
    """The card of a source, or one made from its environment, checked by stepping.

    Raises RequestError for an unknown environment, one that no agent here can act in, and a card that does not fit.
    """
    card = read_card(_path(source)) if _is_path(source) else card_of(environment_id(source), config)
    checked = check_table(card.to_frame(), load(CONTRACT))
    checked.require()
    if card.observation:
        observations_contract(card)
    decisions_contract(card)
    stepper = Stepper(make_vector(card.id, _NUM_ENVS, config), card.cost_terms)
    try:
        check(card, stepper)
    finally:
        stepper.close()
    return Read(card, checked, tuple(_notes(card, config)))


def is_card(path: Path) -> bool:
    """Whether a file is named like a card, and not like a table."""
    return path.suffix.lower() in CARD_SUFFIXES


def _is_path(source: str) -> bool:
    return is_card(Path(source)) or Path(source).is_file()


def _path(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_file():
        return path
    raise RequestError(
        f"Expected {SYNTHETIC}, the id of an environment such as CartPole-v1, or the path of its card. "
        f"Received {source!r}: {'a folder' if path.is_dir() else 'there is no such file'}."
    )


def _module_files(module: str | None) -> Iterator[Path]:
    """The code of a user's module, so that what was learnt with other code is not reused. It is not run here.

    Of a module inside a package, all files of the outermost package. None where nothing is found: the import says so.
    """
    if module is None:
        return
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        yield from sorted(Path(folder).rglob("*.py"))
    if not spec.submodule_search_locations and spec.origin and Path(spec.origin).is_file():
        yield Path(spec.origin)


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _notes(card: Card, config: EnvironmentConfig) -> Iterator[str]:
    if card.module not in (None, config.module):
        yield f"The card names the module {card.module}, which was not imported: only --set environment.module does."
    if config.parameters:
        given = ", ".join(f"{name} {value}" for name, value in config.parameters.items())
        yield f"Other parameters than the environment's own: {given}."
