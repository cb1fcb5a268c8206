"""Kafka's DescribeLogDirs request, which aiokafka 0.14 does not have.

What comes in: partitions by topic. What goes out: a request one broker answers with
the bytes that each of them has on its disks.
"""

from collections.abc import Mapping, Sequence

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

API_KEY = 35


class DescribeLogDirsResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    """For each log folder: error, path, topics with partitions and sizes."""

    API_KEY = API_KEY
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "log_dirs",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("topic", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class DescribeLogDirsStruct(RequestStruct):  # type: ignore[misc]  # the same
    """The request on the wire."""

    API_KEY = API_KEY
    API_VERSION = 1
    RESPONSE_TYPE = DescribeLogDirsResponse
    SCHEMA = Schema(
        (
            "topics",
            Array(("topic", String("utf-8")), ("partitions", Array(Int32))),
        ),
    )


class DescribeLogDirs(Request[DescribeLogDirsStruct]):  # type: ignore[misc]  # the same
    """The request as aiokafka's clients take it."""

    API_KEY = API_KEY

    def __init__(self, topics: Mapping[str, Sequence[int]]) -> None:
        self._topics = [(name, list(parts)) for name, parts in topics.items()]

    def build(
        self, request_struct_class: type[DescribeLogDirsStruct]
    ) -> DescribeLogDirsStruct:
        """The one version we speak; every broker since 2.0 does."""
        return request_struct_class(self._topics)


def sizes_request(topics: Mapping[str, Sequence[int]]) -> DescribeLogDirs:
    """Ask one broker for the sizes of these partitions."""
    return DescribeLogDirs(topics)
