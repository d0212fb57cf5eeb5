"""What brokers refuse that only an operator can put right, in words that say what to do.

Such a refusal ends a worker at its start with a status of its own: starting again by itself would not help.
"""

from __future__ import annotations

from typing import Final

RIGHTS: Final = "compare the rights of this principal with: selvedge acls plan"
TRANSACTION_TOPIC: Final = (
    "where the cluster has fewer brokers than transaction.state.log.replication.factor, or "
    "transaction.state.log.min.isr is above the replicas in sync, transactions do not begin: mend these or the brokers"
)
GROUP_TOPIC: Final = (
    "where the cluster has fewer brokers than offsets.topic.replication.factor there is none: mend that or the brokers"
)
_TRANSACTIONS: Final = {
    "INVALID_TRANSACTION_TIMEOUT": "SELVEDGE_TRANSACTION_TIMEOUT_MS is above the brokers' transaction.max.timeout.ms",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": RIGHTS,
    "CLUSTER_AUTHORIZATION_FAILED": RIGHTS,
}
_GROUP: Final = {
    "InvalidSessionTimeoutError": (
        "SELVEDGE_SESSION_TIMEOUT_MS must be from the brokers' group.min.session.timeout.ms to their "
        "group.max.session.timeout.ms"
    ),
    "InconsistentGroupProtocolError": "there are members in it that are no workers; one group for each deployment",
    "GroupAuthorizationFailedError": RIGHTS,
    "TopicAuthorizationFailedError": RIGHTS,
}


def on_transactions(error: str) -> str:
    """error: the name of what the brokers answered."""
    return _TRANSACTIONS.get(error, TRANSACTION_TOPIC)


def on_group(error: str) -> str | None:
    """error: aiokafka's class of what the brokers answered. None: it may pass."""
    return _GROUP.get(error)
