"""Configuration files are read once, and anew as soon as they say something else."""

import itertools
import time
from importlib.resources import files
from pathlib import Path

import pytest

from configs.load import ConfigError, read_config
from configs.registry import load_registry
from configs.schema.subscriptions import SubscriptionsConfig


def test_what_has_not_changed_is_the_same_value() -> None:
    sensors = load_registry().sensors
    assert all(config is sensors[name] for name, config in load_registry().sensors.items())


@pytest.mark.parametrize("replaced", [False, True], ids=["in place", "another file of that name"])
def test_a_changed_file_is_read_anew_at_once(tmp_path: Path, replaced: bool) -> None:
    """As long, and within one step of the file system's clock."""
    path = tmp_path / "subscriptions.yaml"
    for number in itertools.chain(range(10, 40), range(10, 40)):
        text = f"most: {number}\n"
        if replaced:
            (tmp_path / "new").write_text(text)
            (tmp_path / "new").replace(path)
        else:
            path.write_text(text)
        assert read_config(path, SubscriptionsConfig).most == number


def test_what_was_kept_is_read_anew_once_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "subscriptions.yaml"
    path.write_text("most: 10\n")
    time.sleep(2.1)  # it is kept when it has been at rest for two seconds
    kept = read_config(path, SubscriptionsConfig)
    assert read_config(path, SubscriptionsConfig) is kept
    path.write_text("most: 11\n")
    assert read_config(path, SubscriptionsConfig).most == 11


def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "subscriptions.yaml"
    path.write_text("most: 10\n  overlap_hours: [\n")
    with pytest.raises(ConfigError, match=rf"^subscriptions.yaml: not readable as YAML(.|\n)*{path}.*line 2"):
        read_config(path, SubscriptionsConfig)


def test_a_file_that_became_wrong_is_refused(tmp_path: Path) -> None:
    shipped = Path(str(files("configs") / "missions"))
    (tmp_path / "missions").mkdir()
    one = next(iter(sorted(shipped.glob("*.yaml"))))
    own = tmp_path / "missions" / one.name
    own.write_bytes(one.read_bytes())
    assert one.stem in load_registry(tmp_path).missions
    own.write_text(own.read_text() + "\nnosuch: 1\n")
    with pytest.raises(ConfigError, match="nosuch"):
        load_registry(tmp_path)
