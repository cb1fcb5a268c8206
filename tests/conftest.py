"""What holds for every test."""

from hypothesis import settings

# A busy machine is no reason to fail: examples assert causes, never how long they took.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
