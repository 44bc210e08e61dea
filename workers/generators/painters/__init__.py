"""Painters: each makes the cover of a roadmap."""
