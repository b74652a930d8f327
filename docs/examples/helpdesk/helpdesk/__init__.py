"""A help desk that drafts answers to tickets with a language model. It knows nothing of gonogo."""
