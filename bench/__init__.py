"""Measures the gateway, side by side with reference servers where they are there."""
