"""What goes over the wire to brokers, and all that is borrowed of aiokafka's inside."""
