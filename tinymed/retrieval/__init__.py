"""Searching pictures by likeness: an index of embeddings, and what lies nearest to a picture in it."""
