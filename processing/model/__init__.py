"""The nouns: what a scene, an orthoimage, a product are, and what may go wrong. Values only."""
