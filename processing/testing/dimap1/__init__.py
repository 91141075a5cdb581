"""KazEOSat-2 deliveries: DIMAP 1.1 in the manner of SSTL's Keystone."""

from processing.testing.dimap1.package import package_name, write_package

__all__ = ["package_name", "write_package"]
