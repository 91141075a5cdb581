"""Facts as data: schemas, shipped YAML files, and the one place that reads them."""
