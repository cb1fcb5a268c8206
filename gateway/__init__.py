"""A self-hosted gateway for customer data: POST in, a durable log, workers out."""

__version__ = "0.1.0"
