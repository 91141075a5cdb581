"""The catalogue over HTTP: STAC API, downloads, health and figures, on one origin."""

import logging

# On import it complains of settings that it reads from the environment, and that are set otherwise here.
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
