"""The log on Kafka: an appender, groups, topics; ``wire`` has aiokafka's inside."""
