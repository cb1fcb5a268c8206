"""People: a destination with memory, and the API to look at it (DESIGN §7).

event -> request -> rules (pure: people concerned, request, settings) -> changes
"""
