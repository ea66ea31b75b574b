"""Small reference models, trained by our own scripts."""
