"""Ground to image and image to map: sensor models, terrain, datum, resampling."""
