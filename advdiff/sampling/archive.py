"""Chains on disk: appended as the run goes, continued bit for bit after a kill at any moment.

The partial file beside the result has its full size from the start; blocks of draws are written
into it, and behind them the chains' progress, by turns into one of two slots with a check sum.  A
kill spoils one slot at most.  White coordinates are in an order that does not depend on the ranks,
so that other ranks can go on.  Groups and names are ArviZ': posterior, sample_stats, observed_data,
constant_data, all (chain, draw, …).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from petsc4py import PETSc

from advdiff.chains import diagnostics
from advdiff.chains.kernel import State
from advdiff.chains.run import STATISTICS, Groups, Link, Options, Progress
from advdiff.chains.verdict import of_chains
from advdiff.chains.warmup import Adaptation
from advdiff.core import stopping
from advdiff.core.disk import room
from advdiff.core.ranks import Alone, on_root
from advdiff.core.version import __version__
from advdiff.files import hdf5
from advdiff.files.beside import Beside
from advdiff.files.finished import UNEXPECTED
from advdiff.files.parallel import check_writable, closing, open_parallel, publish
from advdiff.files.reserved import Part, Reserved
from advdiff.files.result import FORMAT, ResultFile
from advdiff.files.shared import AtOnce, Shared, shared
from advdiff.sampling import seal
from advdiff.sampling.layout import Layout, Snapshots
from advdiff.sampling.order import Order

EVERY = 2.0
"""Seconds between blocks: what a kill may cost (the draws are made again, the same)."""
NUMBERS = ("step", "seconds", "potential", "has_gradient", *Adaptation._fields)
ROWS = "xi", "gradient", "sum"
"""A slot's vectors: the state of the chain, and the sum of the m of its draws."""
SLOTS = 2
COLUMNS = 256
"""Variables looked at together by the diagnostics."""


@dataclass
class _Block:
    """Draws not yet written: rows of variables and statistics, from draw ``first`` on."""

    first: int = 0
    rows: list[Mapping[str, np.ndarray]] = field(default_factory=list)
    stats: list[dict[str, float]] = field(default_factory=list)


class Archive:
    """A ``Recorder`` that writes to the partial file (collective on all ranks but for ``record``).

    Args:
        path: of the result.
        groups: who runs which chain.
        options: of the chains.
        layout: what to write.
        order: of the white coordinates on the group's ranks.
        resume: go on with the partial file.
    """

    def __init__(
        self,
        path: Path,
        groups: Groups,
        options: Options,
        layout: Layout,
        order: Order,
        *,
        resume: bool = False,
    ):
        self.path, self.groups, self.options, self.layout = path, groups, options, layout
        self.order, self.world = order, groups.world
        self._beside = Beside(self.world, path, "chains")
        self.partial = self._beside.path
        self._sums: dict[int, PETSc.Vec] = {}
        self._block, self._written, self._slots = _Block(), time.monotonic(), {}
        kept = layout.snapshots
        self._every = None if kept is None else -(-options.draws // kept.most)
        if resume:
            self._reopen()
        else:
            self._create()

    # -- opening --------------------------------------------------------------------------------

    def _create(self) -> None:
        """Under a temporary name, until there is something to go on from."""
        new = self.path.with_name(f".{self.path.name}.partial")
        on_root(self.world, lambda: self._make_way(new))
        with stopping.scratch(new, self.world):
            with shared(new, self.world) as file:
                self._lay_out(ResultFile(file, self.world))
            on_root(self.world, lambda: seal.write(new))
            on_root(self.world, lambda: os.replace(new, self.partial))
        self._numbers = Reserved(self.partial, self.world)

    def _lay_out(self, result: ResultFile) -> None:
        options, layout = self.options, self.layout
        created = self.world.bcast(datetime.now(UTC).isoformat(timespec="seconds"))
        result.attributes(
            {
                "advdiff_version": __version__,
                "format_version": FORMAT,
                "ranks": self.world.size,
                "created_at": created,
                "seed": options.seed,
                "kernel": options.kernel,
                "mark": layout.mark,
                **layout.attributes,
                "complete": False,
            }
        )
        axes = {"chain": options.chains, "draw": options.draws}
        for variable in layout.variables.values():
            axes |= variable.dims
        for data in (*layout.observed.values(), *layout.constant.values()):
            axes |= dict(zip(data.dims, np.shape(data.values), strict=True))
        for name, size in axes.items():
            if name in layout.coordinates:
                result.scale(name, layout.coordinates[name], long_name=name)
            else:
                result.axis(name, size)
        for name, variable in layout.variables.items():
            dims = ("chain", "draw", *variable.dims)
            result.reserve(f"posterior/{name}", dims, variable.long_name)
            if variable.truth is not None:
                truth = np.asarray(variable.truth, dtype=float)
                result.array(f"truth/{name}", truth, tuple(variable.dims), long_name="truth")
        if layout.snapshots is not None:
            self._reserve_fields(result, layout.snapshots)
        for name, title in STATISTICS.items():
            result.reserve(f"sample_stats/{name}", ("chain", "draw"), title)
        for group, found in (
            ("observed_data", layout.observed),
            ("constant_data", layout.constant),
        ):
            for name, data in found.items():
                result.array(f"{group}/{name}", data.values, data.dims, long_name=data.long_name)
        sizes = {"slot": SLOTS, "number": len(NUMBERS), "white": self.order.size}
        for name, size in (sizes | {"one": 1}).items():
            result.axis(name, size)
        result.reserve("progress/layout", ("one",))
        for name, last in {
            "numbers": "number",
            "check": "one",
            **dict.fromkeys(ROWS, "white"),
        }.items():
            result.reserve(f"progress/{name}", ("slot", "chain", last))

    def _reserve_fields(self, result: ResultFile, kept: Snapshots) -> None:
        result.scale("kept", np.arange(0, self.options.draws, self._every), long_name="draw")
        for name, size in kept.sizes.items():
            result.axis(name, size)
        for name, axes in kept.axes.items():
            result.reserve(f"fields/{name}", ("chain", "kept", *axes), f"{name} of a draw")

    def _make_way(self, new: Path) -> None:
        check_writable(self.path)
        for path in (new, self.partial):
            path.unlink(missing_ok=True)

    def _reopen(self) -> None:
        def look() -> None:
            self._beside.require()
            try:
                with hdf5.read(self.partial) as file:
                    mark = file.attrs["mark"]
                    if file["progress/layout"][0] != seal.layout_sum(file):
                        raise ValueError("not as it was begun")
            except UNEXPECTED:
                raise self._beside.damaged() from None
            if mark != self.layout.mark:
                raise self._beside.foreign()

        on_root(self.world, look)
        self._numbers = Reserved(self.partial, self.world)

    # -- the recorder ---------------------------------------------------------------------------

    def _slot(self, chain: int, slot: int) -> tuple[Progress, PETSc.Vec] | None:
        """What a slot holds, and the sum of the draws so far; None where it is not whole
        (collective on the group)."""
        read, order = self._numbers.read, self.order
        numbers = read("progress/numbers", (slot, chain), len(NUMBERS))
        first, count = order.mine.start, order.mine.stop - order.mine.start
        rows = [read(f"progress/{name}", (slot, chain, first), count) for name in ROWS]
        (check,) = read("progress/check", (slot, chain), 1)
        if order.check(numbers, *rows) != check:
            return None
        value = dict(zip(NUMBERS, numbers, strict=True))
        xi, gradient, total = map(order.vector, rows)
        state = State(xi, value["potential"], gradient if value["has_gradient"] else None)
        adaptation = Adaptation(*(value[name] for name in Adaptation._fields))
        adaptation = adaptation._replace(count=int(adaptation.count))
        return Progress(int(value["step"]), state, adaptation, value["seconds"]), total

    def resume(self, chain: int) -> Progress | None:
        found = [(self._slot(chain, slot), slot) for slot in range(SLOTS)]
        found = [(*whole, slot) for whole, slot in found if whole is not None]
        if not found:
            return None
        progress, self._sums[chain], self._slots[chain] = max(found, key=lambda each: each[0].step)
        return progress

    def record(
        self, chain: int, link: Link, m: PETSc.Vec | None, stats: dict[str, float] | None
    ) -> None:
        """Collective on the group."""
        with room(self.partial):
            if m is not None:
                if not self._block.stats:
                    self._block.first = link.draw
                self._block.rows.append(self.layout.values(m))
                self._block.stats.append(stats)
                if self._every is not None and link.draw % self._every == 0:
                    self._keep(chain, link.draw // self._every, m)
                self._add(chain, m)
            options = self.options
            last = link.progress.step == options.warmup + options.draws * options.thin
            due = self.groups.comm.bcast(time.monotonic() - self._written > EVERY)
            if last or due:
                self._write(chain, link.progress)

    def _add(self, chain: int, m: PETSc.Vec) -> None:
        if chain in self._sums:
            self._sums[chain].axpy(1.0, m)
            m.destroy()
        else:
            self._sums[chain] = m

    def _keep(self, chain: int, index: int, m: PETSc.Vec) -> None:
        """The fields of a draw, each rank its share; a kill makes them again."""
        kept = self.layout.snapshots.values(m)
        self._numbers.write(
            *(
                (
                    f"fields/{name}",
                    (chain, index, parts[0].getOwnershipRange()[0]),
                    np.stack([part.array_r for part in parts], axis=-1),
                )
                for name, parts in kept.items()
            )
        )

    def _write(self, chain: int, progress: Progress) -> None:
        block, root = self._block, self.groups.comm.rank == 0
        parts: list[Part] = []
        if root and block.stats:
            for group, names, found in (
                ("posterior", self.layout.variables, block.rows),
                ("sample_stats", STATISTICS, block.stats),
            ):
                for name in names:
                    values = [draw[name] for draw in found]
                    parts.append((f"{group}/{name}", (chain, block.first), values))
        self._block = _Block()
        slot = self._slots[chain] = (self._slots.get(chain, -1) + 1) % SLOTS
        state = progress.state
        gradient = state.gradient
        numbers = np.array(
            [
                progress.step,
                progress.seconds,
                state.potential,
                gradient is not None,
                *progress.adaptation,
            ],
            dtype=float,
        )
        nothing = state.xi.duplicate()
        nothing.set(0.0)
        slope = nothing if gradient is None else gradient
        vectors = state.xi, slope, self._sums.get(chain, nothing)
        rows = [self.order.share(vector) for vector in vectors]
        for name, row in zip(ROWS, rows, strict=True):
            parts.append((f"progress/{name}", (slot, chain, self.order.mine.start), row))
        self._numbers.write(*parts)
        check = self.order.check(numbers, *rows)  # once all of the group have written
        if root:
            self._numbers.write(
                ("progress/numbers", (slot, chain), numbers),
                ("progress/check", (slot, chain), check),
            )
        self._written = time.monotonic()

    # -- closing --------------------------------------------------------------------------------

    def finish(self) -> None:
        """Diagnostics, and the result under its own name (collective).

        All of it happens to a copy: until the result is whole, the chains are there to go on from.
        """
        self.world.barrier()
        whole = self.path.with_name(f".{self.path.name}.partial")

        def copy() -> None:
            with room(self.path):
                shutil.copyfile(self.partial, whole)

        with stopping.scratch(whole, self.world):
            on_root(self.world, copy)
            if self.layout.extend is not None:
                with shared(whole, self.world, "r+") as file:
                    self.layout.extend(file)
            on_root(self.world, lambda: self._complete(whole))

    def _complete(self, whole: Path) -> None:
        with closing(open_parallel(whole, Alone(), "r+"), Alone()) as file:
            seconds = file["progress/numbers"][:][*_latest(file), NUMBERS.index("seconds")]
            file["sample_stats"].attrs["seconds"] = seconds
            step = file["sample_stats/step_size"][:, -1]
            file["sample_stats"].attrs["final_step_size"] = step
            energy = file["sample_stats/energy"][:]
            if np.isfinite(energy).all():
                file["sample_stats"].attrs["bfmi"] = diagnostics.bfmi(energy)
            for name in file["posterior"]:
                _diagnose(file, name)
            self.layout.concerns.add(of_chains(file))
            self.layout.concerns.write(ResultFile(AtOnce(file), Alone()))
            for name in ("progress", "slot", "number", "white", "one"):
                del file[name]
            file.attrs["complete"] = True
        publish(whole, self.path)
        self.partial.unlink()


def _latest(file: h5py.File) -> tuple[np.ndarray, np.ndarray]:
    """Of every chain the slot that was written last, and the chain."""
    step = file["progress/numbers"][:, :, NUMBERS.index("step")]
    return np.nanargmax(step, axis=0), np.arange(step.shape[1])


def mean(file: Shared, order: Order) -> PETSc.Vec:
    """Posterior mean of m, over all draws of chains that are done (collective)."""

    def share(opened: h5py.File) -> np.ndarray:
        rows, count = opened["progress/sum"], len(opened["chain"]) * len(opened["draw"])
        places = zip(*_latest(opened), strict=True)
        return sum(rows[slot, chain, order.mine] for slot, chain in places) / count

    return order.vector(file.read(share))


def _diagnose(file: h5py.File, name: str) -> None:
    """R̂ and effective sample sizes of a variable, into /diagnostics."""
    draws = file[f"posterior/{name}"]
    flat = int(np.prod(draws.shape[2:], dtype=int))
    values = draws[:].reshape(*draws.shape[:2], flat)
    parts = [
        diagnostics.summary(values[..., start : start + COLUMNS])
        for start in range(0, flat, COLUMNS)
    ]
    for kind in parts[0]:
        found = np.concatenate([part[kind] for part in parts]).reshape(draws.shape[2:])
        dataset = file.create_dataset(f"diagnostics/{name}/{kind}", data=found)
        for axis in range(draws.ndim - 2):
            dim = draws.dims[axis + 2]
            dataset.dims[axis].attach_scale(dim[0])
            dataset.dims[axis].label = dim.label
