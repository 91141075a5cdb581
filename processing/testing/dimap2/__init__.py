"""KazEOSat-1 deliveries: DIMAP v2 in the manner of PeruSat-1, the same camera family."""

from processing.testing.dimap2.package import package_name, write_package

__all__ = ["package_name", "write_package"]
