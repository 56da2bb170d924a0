"""From a network to whole images: tiles, dense evaluation, peaks."""
