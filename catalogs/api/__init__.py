"""The catalogue over HTTP: STAC API, downloads, health and figures, on one origin."""
