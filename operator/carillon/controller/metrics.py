"""What Prometheus is told. No label names an object: the number of series does not grow with the number of jobs."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENESS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.runs = Counter(
            "carillon_runs",
            "Runs that finished, by outcome and trigger.",
            ("outcome", "trigger"),
            registry=self.registry,
        )
        self.lateness = Histogram(
            "carillon_start_lateness_seconds",
            "Seconds from a due time to the creation of its Job.",
            buckets=LATENESS_BUCKETS,
            registry=self.registry,
        )
        self.jobs = Counter("carillon_jobs_created", "Jobs made, by trigger.", ("trigger",), registry=self.registry)
        self.events = Counter(
            "carillon_events",
            "Events of event triggers, by what became of them: Run, or the reason of status.events.",
            ("outcome",),
            registry=self.registry,
        )
        self.queue_depth = Gauge("carillon_queue_depth", "Definitions waiting to be looked at.", registry=self.registry)
        self.objects = Gauge("carillon_objects", "Objects known, by resource.", ("resource",), registry=self.registry)
        self.leading = Gauge("carillon_leader", "1 where this process leads.", registry=self.registry)
        self.parked = Counter(
            "carillon_parked",
            "Decisions that raised and were put off: a defect of the operator.",
            registry=self.registry,
        )
        self.reports = Counter(
            "carillon_progress_reports",
            "Reports of tasks, by the HTTP status of the answer.",
            ("code",),
            registry=self.registry,
        )
        self.archived = Counter("carillon_archived_runs", "Runs that the archive took in.", registry=self.registry)
        self.archive_waiting = Gauge(
            "carillon_archive_waiting_runs", "Finished runs that wait for the archive.", registry=self.registry
        )
        self.archive_oldest = Gauge(
            "carillon_archive_oldest_waiting_seconds",
            "For how long the run that waits longest for the archive does.",
            registry=self.registry,
        )
        self.archive_failures = Counter(
            "carillon_archive_failures", "Writes that the archive failed or refused.", registry=self.registry
        )
        self.archive_lost = Counter(
            "carillon_archive_lost_runs",
            "Finished runs that are gone and never got into the archive: more waited for it than may.",
            registry=self.registry,
        )
        self.requests = Histogram(
            "carillon_api_request_seconds",
            "Requests to the API server, by verb, resource and status code (0: no answer).",
            ("verb", "resource", "code"),
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )

    def started(self, trigger: str, due: datetime | None, now: datetime) -> None:
        """Count a Job that was made, and how late (seconds)."""
        self.jobs.labels(trigger).inc()
        if due is not None:
            self.lateness.observe(max(0.0, (now - due).total_seconds()))

    def finished(self, outcome: str, trigger: str) -> None:
        """Count a run that finished."""
        self.runs.labels(outcome, trigger).inc()

    def request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request to the API server."""
        self.requests.labels(verb, resource, str(code)).observe(seconds)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
