"""Workflow steps: what they are, how they are loaded, and how one is run."""
