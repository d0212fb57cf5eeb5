"""Selvedge: touchpoints on Kafka become persons, profiles and cart triggers."""
