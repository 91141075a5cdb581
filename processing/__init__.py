"""From delivered counts to archived products: readers, radiometry, geometry, quality, products, archive."""

from processing.kernel_cache import choose_kernel_cache

choose_kernel_cache()
