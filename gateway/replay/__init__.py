"""Sending the past again: ``run`` reads a topic, ``rules`` says who gets what."""
