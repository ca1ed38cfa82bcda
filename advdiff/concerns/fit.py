"""Whether the noise of the readings explains what is left of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc, gammaincc

from advdiff.files.concerns import Concern
from advdiff.problem.problem import Problem

CHANCE = 1e-3
"""A residual that the noise makes less often than this is not its work."""
OVERSTATED = 0.25
"""χ² a degree of freedom below which a residual that is too small says so: half the noise."""


LIMITS = {-1: "below ", 0: "", 1: "above "}


@dataclass(frozen=True)
class Fit:
    """Residuals of readings, in standard deviations of their noise.

    Attributes:
        residual: (measured − predicted)/std, as a normal error that is as improbable, shape
            (reading,).
        unknowns: fitted to them, at most.
        place: where the worst reading stands, what it is and what was predicted, in words.
        row: of its file.
        sensor, time: of each reading, shape (reading,).
        seen: readings that are within their limits.
        estimated: standard deviations of the noise that were estimated too, in units of those
            given.
        where: of a sensor or a time, in words.
    """

    residual: np.ndarray
    unknowns: int
    place: str
    row: int
    sensor: np.ndarray | None = None
    time: np.ndarray | None = None
    seen: int | None = None
    estimated: tuple[float, ...] = ()
    where: Callable[[str, int], str] = "{0} {1}".format

    @property
    def rms(self) -> float:
        """Root mean square."""
        return float(np.sqrt(np.mean(self.residual**2)))

    @property
    def chi_squared(self) -> float:
        """Σ residual²."""
        return float(self.residual @ self.residual)

    @property
    def worst(self) -> float:
        """The residual that is largest by its modulus."""
        return float(self.residual[np.abs(self.residual).argmax()])

    @property
    def freedom(self) -> tuple[int, int]:
        """Degrees of freedom, at least and at most: an unknown takes one where the data alone
        determine it, and none where the prior does."""
        seen = len(self.residual) if self.seen is None else self.seen
        return max(seen - self.unknowns - len(self.estimated), 0), len(self.residual)

    @property
    def lines(self) -> list[str]:
        """For the log."""
        sizes = ", ".join(f"{size:.3g}" for size in self.estimated)
        return [*([f"noise       of size {sizes}, estimated"] if sizes else []), self._line]

    @property
    def _line(self) -> str:
        least, most = self.freedom
        freedom = f"{most}" if least == most else f"{least} … {most}"
        return (
            f"misfit      residual {self.rms:.3g} standard deviations of the noise, χ² "
            f"{self.chi_squared:.4g} of {freedom} degrees of freedom; worst: {self.place}"
        )

    @property
    def attributes(self) -> dict[str, float | int | np.ndarray]:
        """For the result file."""
        least, most = self.freedom
        return {
            "rms_residual": self.rms,
            "chi_squared": self.chi_squared,
            "degrees_of_freedom_least": least,
            "degrees_of_freedom_most": most,
            "worst_residual": self.worst,
            "worst_reading_row": self.row,
            **({"noise": np.array(self.estimated)} if self.estimated else {}),
        }

    @property
    def concerns(self) -> list[Concern]:
        """What there is to warn of."""
        least, most = self.freedom
        size = f"the residual is {self.rms:.3g} standard deviations of the noise"
        counted = f"χ² {self.chi_squared:.4g} of {most} readings"
        if self.estimated:
            return self.one_sided
        if not gammaincc(0.5 * most, 0.5 * self.chi_squared) >= CHANCE:
            return [
                Concern(
                    "misfit",
                    f"{size}, which does not explain it ({counted}); worst: {self.place}; mind "
                    "units, outliers, observations.std and the prior, or what the model leaves out",
                    self.rms,
                )
            ]
        if (
            least > 0
            and self.chi_squared < OVERSTATED * least
            and gammainc(0.5 * least, 0.5 * self.chi_squared) < CHANCE
        ):
            return [
                Concern(
                    "misfit",
                    f"{size}, less than it leaves ({counted}): the noise is overstated, and so is "
                    f"what is uncertain; worst: {self.place}; lower observations.std, or the std "
                    "of the file",
                    self.rms,
                )
            ]
        return self.one_sided

    @property
    def one_sided(self) -> list[Concern]:
        """Of readings of one sensor, or of one time, that are off to one side together."""
        found = []
        for what, group in (("sensor", self.sensor), ("time", self.time)):
            if group is None:
                continue
            sums = np.bincount(group, self.residual) / np.sqrt(np.bincount(group))
            groups = len(sums)
            total = float(sums @ sums)
            if not 1 < groups < len(self.residual) or gammaincc(0.5 * groups, 0.5 * total) > CHANCE:
                continue
            i = int(np.abs(sums).argmax())
            found.append(
                Concern(
                    f"one-sided-{what}s",
                    f"residuals of one {what} have one sign more often than noise makes them (χ² "
                    f"{total:.4g} of {groups} {what}s); most {self.where(what, i)}, whose sum is "
                    f"{sums[i]:.3g} of its standard deviation; mind what the model leaves out",
                    total,
                )
            )
        return found


def of_predictions(problem: Problem, predicted: np.ndarray) -> Fit:
    """Of the readings of a problem, which are known on every rank."""
    readings, likelihood = problem.readings, problem.likelihood
    residual = likelihood.standardised(predicted)
    i = int(np.abs(residual).argmax())
    limit = LIMITS[readings.sides[i]]
    place = (
        f"{problem.experiment.observations.file}, row {readings.lines[i]}, value {limit}"
        f"{readings.values[i]:.6g} for {predicted[i]:.6g}, {abs(residual[i]):.3g} standard "
        "deviations"
    )
    if not readings.places.is_bare(sensor := int(readings.sensor[i])):
        place += f", {readings.places.describe(sensor)}"

    def where(what: str, i: int) -> str:
        if what == "time":
            return f"at t = {readings.times[i]:.6g}"
        if readings.places.is_bare(i):
            return f"at ({', '.join(f'{x:.6g}' for x in readings.points[i])})"
        return f"of {readings.places.describe(i)}"

    return Fit(
        residual,
        problem.unknowns.size,
        place,
        int(readings.lines[i]),
        readings.sensor,
        readings.time,
        int((readings.sides == 0).sum()),
        likelihood.sizes(predicted),
        where,
    )
