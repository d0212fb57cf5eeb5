"""The shell: Kafka and Faust around the core."""
