"""What every pipeline has after its first step: rows that keep the contract, and what became of the others."""

from collections.abc import Iterable
from typing import Any, Self

import polars as pl

from shared.contracts.table import TableCheck
from shared.data.store import Ref, default_store
from shared.orchestration.step import code_digest
from shared.orchestration.stored import Handle, Source
from shared.publishing.bundle import BundleFacts


class IngestedTable(Handle):
    """The usable rows of a source, with those in quarantine; pipelines add what else they read.

    notes: in words, what was read otherwise than given and what was left out.
    """

    source: Source
    table: Ref
    quarantine: Ref | None
    contract: str
    contract_digest: str
    rows_in: int
    quarantined: int
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, source: Source, checked: TableCheck, usable: pl.DataFrame, notes: Iterable[str], **more: Any
    ) -> Self:
        """Store the usable ones among the valid rows of a check, and its quarantine.

        `more` has the fields that a pipeline adds.
        """
        store = default_store()
        found = [f"Quarantine: {item.column} {item.rule}, {item.count} rows." for item in checked.violations]
        return cls(
            source=source,
            table=store.put_frame(usable),
            quarantine=store.put_frame(checked.quarantined) if checked.quarantined.height else None,
            contract=checked.contract.id_version,
            contract_digest=checked.contract.digest,
            rows_in=checked.num_rows,
            quarantined=checked.quarantined.height,
            notes=(*notes, *found),
            **more,
        )

    def quarantined_rows(self) -> pl.DataFrame | None:
        """The rows in quarantine with the rules that they broke; None without any."""
        return default_store().frame(self.quarantine) if self.quarantine else None

    def counts(self) -> dict[str, int]:
        """Rows that came in and that went to quarantine, as the summary of a run names them."""
        return {"in": self.rows_in, "quarantined": self.quarantined}

    def facts(self, pipeline: str, *, preset: str, seed: int) -> BundleFacts:
        """The origin of a model that was trained on this table."""
        return BundleFacts(
            pipeline=pipeline,
            source=self.source.name,
            preset=preset,
            contract=self.contract,
            contract_digest=self.contract_digest,
            input_digest=self.table.sha256,
            code_digest=code_digest(f"pipelines.{pipeline}"),
            seed=seed,
        )
