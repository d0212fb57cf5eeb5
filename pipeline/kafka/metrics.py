"""The figures of a worker as Prometheus metrics.

Read when they are asked for: counting costs the pipeline nothing. Units and suffixes by Prometheus' conventions. Labels
are of closed sets (channels, dialects, codes, kinds, numbers of shards); an identifier is never one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.core.times import SECOND
from pipeline.kafka.stats import Histogram, Stats

COUNTS = {
    "repeated": ("selvedge_touchpoints_repeated", "Touchpoints that had been folded before."),
    "catalogue_facts": ("selvedge_catalogue_facts", "Prices and stocks: touchpoints without a person."),
    "flips": ("selvedge_identity_flips", "Identifiers that went over to another profile."),
    "conflicts": ("selvedge_conflicts", "Edges that the policy did not follow: they would join what must stay apart."),
    "hubs": ("selvedge_hubs", "Identifiers that became shared, because too many persons have them."),
    "documents": ("selvedge_profile_documents", "Profile documents that were published."),
    "documents_cut": ("selvedge_profile_documents_cut", "Profile documents that were too large and are shortened."),
    "redirects": ("selvedge_redirects", "Profile ids that lead to another profile now."),
    "erased": ("selvedge_persons_erased", "Persons that were erased."),
    "access_answered": ("selvedge_access_reports", "Requests for access that were answered."),
    "expired": ("selvedge_fragments_expired", "Fragments that the policy keeps no longer."),
    "products": ("selvedge_product_documents", "Product documents that were published."),
}
"""What the core counts -> metric, what it says."""
CHANGES = ("created", "updated", "merged", "split", "renamed", "shared", "oversize")
TRIGGER = "triggers."
DROPPED = "dropped."


class Figures(Collector):
    """Collects from the stats of a worker."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        yield from self._input()
        yield from self._epochs()
        yield from self._core(dict(self._stats.counts))
        yield from self._time()
        yield from self._shards()
        yield from self._surroundings()

    def _input(self) -> Iterator[Metric]:
        stats = self._stats
        read = CounterMetricFamily(
            "selvedge_touchpoints", "Touchpoints read.", labels=("channel", "dialect", "outcome")
        )
        for dialect, channels in list(stats.accepted.items()):
            for channel, count in list(channels.items()):
                read.add_metric((channel, dialect, "accepted"), count)
        read.add_metric(("", "", "rejected"), sum(stats.rejected.values()))
        yield read
        rejects = CounterMetricFamily("selvedge_rejects", "Touchpoints refused, by reason.", labels=("reason",))
        for reason, count in list(stats.rejected.items()):
            rejects.add_metric((reason,), count)
        yield rejects
        yield CounterMetricFamily("selvedge_records", "Records read from touchpoints.", value=stats.touchpoints)
        yield CounterMetricFamily("selvedge_mail", "Messages read from other shards.", value=stats.mail)

    def _epochs(self) -> Iterator[Metric]:
        stats = self._stats
        yield _histogram("selvedge_epoch_seconds", "Duration of epochs, commit included.", stats.epoch_s)
        yield _histogram("selvedge_epoch_records", "Records of an epoch.", stats.epoch_records)
        yield _histogram(
            "selvedge_timer_lateness_seconds", "How late the earliest due timer was met.", stats.timer_late_s
        )
        age = time.monotonic() - stats.turned
        yield GaugeMetricFamily("selvedge_epoch_age_seconds", "Since the timer of epochs last came round.", value=age)

    def _core(self, counts: Mapping[str, int]) -> Iterator[Metric]:
        for key, (name, help) in COUNTS.items():
            yield CounterMetricFamily(name, help, value=counts.get(key, 0))
        changes = CounterMetricFamily("selvedge_profile_changes", "Changes of profiles, by kind.", labels=("kind",))
        for kind in CHANGES:
            changes.add_metric((kind,), counts.get(kind, 0))
        yield changes
        triggers = CounterMetricFamily(
            "selvedge_triggers", "Trigger records, by family and status.", labels=("family", "status")
        )
        for (family, status), count in _under(counts, TRIGGER, 2):
            triggers.add_metric((family, status), count)
        yield triggers
        dropped = CounterMetricFamily("selvedge_bound_hits", "What a bound of the policy dropped.", labels=("bound",))
        for (bound,), count in _under(counts, DROPPED, 1):
            dropped.add_metric((bound,), count)
        yield dropped

    def _time(self) -> Iterator[Metric]:
        stats = self._stats
        watermark = stats.caught_up_to / SECOND
        hold = max(0, stats.now - stats.caught_up_to) / SECOND if stats.caught_up_to else 0
        yield GaugeMetricFamily(
            "selvedge_watermark_timestamp_seconds", "Up to when all shards have read.", value=watermark
        )
        yield GaugeMetricFamily(
            "selvedge_hold_age_seconds", "For how long triggers wait for shards that are behind.", value=hold
        )
        yield GaugeMetricFamily(
            "selvedge_held_clusters",
            "Clusters in which a deadline that has come waits for shards that are behind.",
            value=stats.waiting,
        )
        yield GaugeMetricFamily(
            "selvedge_held_age_seconds", "Since the oldest of these deadlines; 0: none.", value=stats.waiting_age
        )
        yield GaugeMetricFamily(
            "selvedge_erasure_age_seconds",
            "Since the oldest erasure that was read and is not served was asked for; 0: none.",
            value=stats.erasure_age,
        )
        ahead = stats.clock_ahead
        yield GaugeMetricFamily("selvedge_clock_ahead_seconds", "This machine's clock minus the broker's.", value=ahead)

    def _shards(self) -> Iterator[Metric]:
        stats = self._stats
        yield GaugeMetricFamily("selvedge_shards_owned", "Shards of this worker.", value=len(stats.shards))
        ready = GaugeMetricFamily("selvedge_ready", "1 if every assigned shard is owned.", value=stats.ready)
        yield ready
        records = GaugeMetricFamily("selvedge_lag_records", "Records not read yet.", labels=("shard", "source"))
        seconds = GaugeMetricFamily("selvedge_lag_seconds", "Age of what was read last, if behind.", labels=("shard",))
        for shard, lag in stats.lag.items():
            records.add_metric((str(shard), "touchpoints"), lag.touchpoints)
            records.add_metric((str(shard), "mail"), lag.mail)
            seconds.add_metric((str(shard),), lag.seconds)
        yield records
        yield seconds
        rows = GaugeMetricFamily("selvedge_state_rows", "Rows of state in memory.", labels=("kind",))
        size = GaugeMetricFamily("selvedge_state_bytes", "Bytes of these rows.", labels=("kind",))
        for kind, (count, total) in stats.state.items():
            rows.add_metric((kind,), count)
            size.add_metric((kind,), total)
        yield rows
        yield size

    def _surroundings(self) -> Iterator[Metric]:
        stats = self._stats
        done = GaugeMetricFamily(
            "selvedge_recovery_ratio", "Of a shard's state log, the part that was read.", labels=("shard",)
        )
        for shard, (at, end) in stats.recovering.items():
            done.add_metric((str(shard),), at / end if end else 0)
        yield done
        yield CounterMetricFamily("selvedge_fences", "Workers that this one has fenced.", value=stats.fences)
        yield CounterMetricFamily(
            "selvedge_transaction_aborts", "Open transactions of others aborted by a takeover.", value=stats.aborts
        )
        replicas = stats.replicas
        if replicas is not None:
            yield GaugeMetricFamily("selvedge_brokers", "Brokers of the cluster.", value=replicas.brokers)
            behind = "Partitions of our topics with a replica that is behind."
            yield GaugeMetricFamily("selvedge_partitions_under_replicated", behind, value=replicas.behind)
            leaderless = "Partitions of our topics without a leader."
            yield GaugeMetricFamily("selvedge_partitions_leaderless", leaderless, value=replicas.leaderless)
        expiry = GaugeMetricFamily(
            "selvedge_certificate_expiry_timestamp_seconds", "When a certificate in use ends.", labels=("use",)
        )
        for use, until in stats.certificates.items():
            expiry.add_metric((use,), until)
        yield expiry


def generate(figures: CollectorRegistry) -> bytes:
    """In Prometheus' text format."""
    return generate_latest(figures)


def registry(stats: Stats) -> CollectorRegistry:
    """A worker's metrics, with those of its process (memory, processor, files)."""
    made = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=made)
    made.register(Figures(stats))
    return made


def _under(counts: Mapping[str, int], prefix: str, parts: int) -> Iterable[tuple[tuple[str, ...], int]]:
    for key, count in counts.items():
        if key.startswith(prefix):
            yield tuple(key.removeprefix(prefix).split(".", parts - 1)), count


def _histogram(name: str, help: str, histogram: Histogram) -> Metric:
    counts = list(histogram.counts)
    family = HistogramMetricFamily(name, help)
    below, buckets = 0, []
    for bound, count in zip((*histogram.bounds, float("inf")), counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
    family.add_metric((), buckets, histogram.total)
    return family
