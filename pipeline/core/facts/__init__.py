"""What each type of touchpoint leaves in its anchor's fragment. Every law is commutative and idempotent by event."""
