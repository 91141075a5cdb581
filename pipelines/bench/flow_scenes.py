"""The packages that ``qyran bench flow`` has processed, with elevations under them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.bench.flow_kind import SceneKind
from pipelines.demo import PASSES, SEED
from processing.testing.series import write_elevations, write_series
from processing.testing.simulate import simulate


@dataclass(frozen=True, slots=True)
class Scenes:
    """Packages, and the elevation files that they need."""

    packages: tuple[Path, ...]
    elevations: tuple[Path, ...]
    """Files; some have the same name, in folders of their own."""
    sensors: dict[str, str]
    """What each package's scene is like, by the package's name: scenes that are alike take as long."""

    def placed(self, folder: Path, packages: Sequence[Path]) -> list[Path]:
        """Copies of packages in a folder of their own, for an installation to take."""
        folder.mkdir(parents=True)
        return [shutil.copytree(package, folder / package.name) for package in packages]

    def elevations_in(self, folder: Path) -> None:
        """Give an installation the elevations."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(self.elevations):
            shutil.copyfile(file, folder / f"{number}-{file.name}")


def make_scenes(kind: SceneKind, count: int, folder: Path) -> Scenes:
    """Make as many packages of a kind, each of a name and a moment of its own.

    Parameters
    ----------
    kind
        ``small``: of a few thousand pixels, so that next to all that a run takes is orchestration. ``demo``: those of
        ``qyran demo``, 1000 x 1000 (and four times as many each way in the panchromatic band) and 1600 x 1600 pixels,
        its two sensors in turn.
    folder
        Where they are made.
    """
    if kind is SceneKind.SMALL:
        folder.mkdir(parents=True)
        packages = write_series(folder / "small", count)
        heights = write_elevations(folder / "dem")
        return Scenes(tuple(packages), tuple(heights.iterdir()), {package.name: kind for package in packages})
    rows, elevations = [], []
    sensors: dict[str, str] = {}
    for number, taken in enumerate(PASSES):
        scenes = (count - number + len(PASSES) - 1) // len(PASSES)
        if scenes == 0:
            continue
        made = simulate(folder / taken.sensor, sensor=taken.sensor, size=taken.size, seed=SEED, scenes=scenes)
        rows.append(made.packages)
        elevations += [file for file in made.dem.iterdir() if file.is_file()]
        sensors |= {package.name: taken.sensor for package in made.packages}
    in_turn = [row[place] for place in range(max(map(len, rows))) for row in rows if place < len(row)]
    return Scenes(tuple(in_turn), tuple(elevations), sensors)
