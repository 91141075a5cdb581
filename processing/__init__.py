"""From delivered counts to archived products: readers, radiometry, geometry, quality, products, archive."""
