"""The rules of triggers: what is due, why it is not sent, whom it reaches, and when it is withdrawn."""
