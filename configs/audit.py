"""The audit log's settings of an installation."""

from pathlib import Path

from configs.load import read_config
from configs.schema.audit import AuditConfig


def load_audit_config(folder: Path) -> AuditConfig:
    """``audit.yaml`` of an operator's configs, or the defaults where there is none.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    path = folder / "audit.yaml"
    return read_config(path, AuditConfig) if path.is_file() else AuditConfig()
