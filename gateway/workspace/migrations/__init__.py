"""Forward only, run at start by ``store.py``; one file a step, never edited after."""
