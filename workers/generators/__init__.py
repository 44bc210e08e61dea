"""Who writes: a model behind an OpenAI-compatible endpoint, or the offline writer. Nothing here saves anything."""
