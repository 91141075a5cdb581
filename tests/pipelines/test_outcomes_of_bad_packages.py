"""The flow process-scene on packages that cannot become products: every end is a value with a stable reason."""

import json
from pathlib import Path

import pytest

from configs.settings import Home
from pipelines.outcomes import PackageOutcome
from pipelines.requests import SceneRequest
from processing.model.quality import Outcome

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(600)]

BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<Dimap_Document><Metadata_Identification><METADATA_FORMAT version="2.15">DIMAP</METADATA_FORMAT>
</Metadata_Identification><Dataset_Identification><DATASET_NAME>&lol2;</DATASET_NAME></Dataset_Identification>
</Dimap_Document>"""


def _process(package: Path, home: Path, **more: str) -> PackageOutcome:
    from pipelines.process import process_scene

    return PackageOutcome.model_validate(process_scene(SceneRequest(package=str(package), home=str(home), **more)))


def test_a_hostile_package_is_quarantined_with_its_reason(tmp_path: Path) -> None:
    package = tmp_path / "hostile"
    package.mkdir()
    (package / "DIM_HOSTILE.XML").write_text(BILLION_LAUGHS)
    outcome = _process(package, tmp_path / "home")
    assert outcome.outcome is Outcome.QUARANTINED
    assert outcome.reasons == ("xml.dtd_forbidden",)
    assert outcome.items == ()
    assert outcome.quarantine is not None
    kept = Path(outcome.quarantine)
    assert kept.parent == Home(tmp_path / "home").quarantine
    assert (kept / "hostile" / "DIM_HOSTILE.XML").read_text() == BILLION_LAUGHS
    assert json.loads((kept / "reason.json").read_text())["reason"] == "xml.dtd_forbidden"
    assert package.is_dir()
    assert not (tmp_path / "home" / "archive").exists()


@pytest.mark.realdata
def test_an_unidentified_image_is_rejected_not_quarantined(realdata: Path, tmp_path: Path) -> None:
    outcome = _process(realdata / "s2p-phr-marseille" / "img_01.tif", tmp_path / "home")
    assert outcome.outcome is Outcome.REJECTED
    assert outcome.reasons == ("package.unidentified",)
    assert "qyran ortho" in (outcome.remedy or "")
    assert not (tmp_path / "home" / "quarantine").exists()


def test_the_run_ends_completed_under_the_outcomes_name(tmp_path: Path) -> None:
    """A bad package is a result: operators see its name, and no alarm for failed runs goes off."""
    from pipelines.process import process_scene

    package = tmp_path / "nothing.zip"
    package.write_bytes(b"not a zip")
    state = process_scene(SceneRequest(package=str(package), home=str(tmp_path / "home")), return_state=True)
    assert state.is_completed()
    assert state.name == "Quarantined"
