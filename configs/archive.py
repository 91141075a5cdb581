"""Where products are published besides HOME, as the operator set it."""

import os
from pathlib import Path

from configs.load import read_config
from configs.schema.archive import ArchiveConfig

FILE = "archive.yaml"
VARIABLE = "QYRAN_ARCHIVE_URL"


def load_archive(overlay: Path | None = None) -> ArchiveConfig:
    """Read ``archive.yaml`` of ``overlay`` (HOME/configs); ``$QYRAN_ARCHIVE_URL`` takes the place of its address.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = overlay / FILE if overlay is not None else None
    config = read_config(path, ArchiveConfig) if path is not None and path.is_file() else ArchiveConfig()
    url = os.environ.get(VARIABLE)
    return config if url is None else config.model_copy(update={"url": url})
