"""Puts the pieces together: client, watches, store, worker, lease and probes; from start to a graceful stop."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from carillon import __version__
from carillon.api import keys
from carillon.api.base import API_VERSION, GROUP, VERSION
from carillon.archive.address import url_in, url_of_file
from carillon.archive.errors import NotUsable
from carillon.controller import collector, system_jobs
from carillon.controller.agenda import Agenda
from carillon.controller.archivist import Archivist, Database
from carillon.controller.backlog import Backlog
from carillon.controller.callers import Callers
from carillon.controller.comparison import Comparison
from carillon.controller.costly import CostlyDecisions
from carillon.controller.event_sources import EventSources
from carillon.controller.execute import Executor
from carillon.controller.kopf_shell import watch_definitions
from carillon.controller.leadership import Leadership
from carillon.controller.metrics import Metrics
from carillon.controller.probes import Probes
from carillon.controller.progress_endpoint import ProgressEndpoint
from carillon.controller.reconcile import Reconciler
from carillon.controller.reporting import Reporting
from carillon.controller.settings import Settings
from carillon.controller.store import Object, Store
from carillon.controller.worker import Worker
from carillon.controller.workqueue import WorkQueue
from carillon.engine.model import Key, Run, WorkKey
from carillon.engine.retention import Bound
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from carillon.kube.events import Recorder, Reference, last_seen
from carillon.kube.follow import Follower
from carillon.kube.resources import CALENDARS, CRON_JOBS, EVENTS, JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from carillon.kube.tasks import Tasks

CONTACT_LOST_SECONDS = 90.0
DISCOVERY_PAUSE_SECONDS = 2.0
LAST_WRITES_SECONDS = 0.3
LONGEST_BEGINNING_SECONDS = 120.0
"""Who leads and cannot learn in this time what there is makes room for somebody who may."""
UNFIT_SECONDS = 30.0
"""And does not compete for so long."""

log = structlog.get_logger(__name__)


class CannotStart(Exception):  # noqa: N818  (said to people, and the process ends)
    """A setting that only showed itself to be wrong when it was used."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Operator:
    """One process of the operator."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._metrics = metrics
        self._agenda = Agenda()
        costly = CostlyDecisions()
        self._queue = WorkQueue(settings.workers, waits=costly.waits)
        self._recorder = Recorder(client, identity=settings.identity)
        self._backlog = _backlog(settings, self._report_lost)
        self._store = Store(
            changed=self._changed, unreadable=self._report_unreadable, clock=utc_now, keeper=self._backlog
        )
        self._events = EventSources(
            client=client,
            store=self._store,
            metrics=metrics,
            allowed=settings.event_sources,
            namespaces=settings.watch_namespaces,
            changed=lambda key: self._worker.changed(key),
            clock=utc_now,
        )
        self._executor = executor = Executor(
            client=client,
            store=self._store,
            recorder=self._recorder,
            metrics=metrics,
            clock=utc_now,
            last_words=settings.last_words,
            progress_url=settings.progress_url,
            pass_over=self._events.pass_over,
        )
        reconciler = Reconciler(
            store=self._store,
            agenda=self._agenda,
            queue=self._queue,
            executor=executor,
            metrics=metrics,
            clock=utc_now,
            make_sure=lambda key: self._comparison.make_sure(key),
            costly=costly,
        )
        self._worker = Worker(
            store=self._store,
            agenda=self._agenda,
            queue=self._queue,
            reconciler=reconciler,
            clock=utc_now,
            tasks=settings.workers,
        )
        self._leadership = Leadership(
            settings, lead=self._lead, alive=lambda: self._not_alive() is None, observer=metrics.request
        )
        self._begun_at: float | None = None
        """Since when this process leads without knowing what there is."""
        self._unfit_until = float("-inf")
        client.gate = self._leadership
        namespaces: tuple[str | None, ...] = settings.watch_namespaces or (None,)
        self._comparison = Comparison(
            client=client, store=self._store, namespaces=namespaces, every_seconds=settings.relist_seconds
        )
        self._followers = [follower for namespace in namespaces for follower in self._follow(namespace)]
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._archivist = self._make_archivist(self._backlog) if self._backlog is not None else None

    def _make_archivist(self, backlog: Backlog) -> Archivist:
        days = self._settings.archive_keep_days
        return Archivist(
            archive=_open_archive(self._settings),
            backlog=backlog,
            metrics=self._metrics,
            changed=lambda key: self._worker.changed(key),
            definitions=self._store.definitions,
            check_leading=self._leadership.check,
            clock=utc_now,
            keep=timedelta(days=days) if days else None,
        )

    def _follow(self, namespace: str | None) -> list[Follower]:
        store = self._store

        def follow(
            resource: Resource, on_object: Callable[[Object], None], label_selector: str = "", *, whole: bool = False
        ) -> Follower:
            """`whole`: what a list does not have is not there."""

            def on_listed(found: frozenset[str], version: int) -> None:
                if whole:
                    store.drop_absent(resource, namespace, found, version)

            return Follower(
                self._client,
                resource,
                namespace,
                label_selector=label_selector,
                on_object=on_object,
                on_gone=lambda _namespace, _name, uid: store.drop(uid),
                on_back=self._comparison.begin_anew,
                on_listed=on_listed,
            )

        return [
            follow(CALENDARS, store.put_calendar),
            follow(JOB_RUNS, store.put_run, whole=True),
            follow(JOBS, store.put_job, keys.RUN_UID_LABEL, whole=True),
            # Those of the native backend, until they are tied to a JobRun, and on.
            follow(JOBS, store.put_job, keys.NATIVE_LABEL),
            follow(CRON_JOBS, store.put_cron_job, keys.NATIVE_LABEL),
            # The store holds no events: none is gone from it.
            Follower(
                self._client,
                EVENTS,
                namespace,
                field_selector="involvedObject.kind=Job,reason=FailedCreate",
                on_object=self._observe_refused_pods,
                on_gone=lambda _namespace, _name, _uid: None,
            ),
        ]

    async def run(self) -> None:
        """Serve until a signal asks to stop; then hand the lease back.

        Raises:
            CannotStart: a setting is wrong.
            Exception: a part that the operator cannot work without has failed; the process should end.
        """
        loop = asyncio.get_running_loop()
        probes = Probes(metrics=self._metrics, alive=self._not_alive, ready=self._ready, refresh=self._refresh)
        if self._settings.probe_port:
            try:
                await probes.start(self._settings.probe_address, self._settings.probe_port)
            except OSError as error:
                raise CannotStart(
                    f"probe_port: cannot listen on {self._settings.probe_address}:{self._settings.probe_port}"
                    f" ({error.strerror}); choose another, or 0 for no probes"
                ) from error
        tasks: list[asyncio.Task[None]] = []
        progress = await self._serve_progress()
        try:
            self._catch_signals(loop)
            await self._wait_for_api()
            tasks = [
                self._spawn(self._watch_definitions(), "definitions"),
                self._spawn(self._comparison.run(), "comparison"),
                self._spawn(self._recorder.run(), "events"),
                *(self._spawn(follower.run(), "watch") for follower in self._followers),
                self._spawn(self._elect(), "lease"),
            ]
            await self._stop.wait()
        finally:
            log.info("stopping")
            # What is on its way is waited for, so that it does not arrive in the next leader's time.
            self._leadership.close()
            await self._client.until_written(LAST_WRITES_SECONDS)
            await self._leadership.release()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await progress.aclose()
            await probes.stop()
        if self._failure is not None:
            raise self._failure

    async def _serve_progress(self) -> contextlib.AsyncExitStack:
        """Let tasks report how far they are, to this replica whether or not it leads; closed when that ends."""
        settings, serving = self._settings, contextlib.AsyncExitStack()
        if not settings.progress_port:
            return serving
        tasks = await Tasks.connect(
            kubeconfig=settings.kubeconfig, context=settings.context, observer=self._metrics.request
        )
        serving.push_async_callback(tasks.close)
        endpoint = ProgressEndpoint(
            callers=Callers(identities=tasks, store=self._store, namespaces=settings.watch_namespaces, clock=utc_now),
            reporting=Reporting(records=tasks, store=self._store, clock=utc_now),
            metrics=self._metrics,
            ready=self._ready,
        )
        try:
            await endpoint.start(settings.progress_address, settings.progress_port)
        except OSError as error:
            await serving.aclose()
            raise CannotStart(
                f"progress_port: cannot listen on {settings.progress_address}:{settings.progress_port}"
                f" ({error.strerror}); choose another, or 0 for none"
            ) from error
        serving.push_async_callback(endpoint.stop)
        return serving

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._stop.is_set():
            return
        name = task.get_name()
        if task.cancelled():
            self._failure = RuntimeError(f"{name} was cancelled, and not by us")
        else:
            self._failure = task.exception() or RuntimeError(f"{name} ended by itself")
        log.error("a part of the operator ended", part=task.get_name(), why=repr(self._failure))
        self._stop.set()

    def _catch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _wait_for_api(self) -> None:
        """Wait until the API server answers and knows our kinds, and say once what is missing."""
        told = ""
        while not self._stop.is_set():
            try:
                version = await self._client.version()
                served = await self._client.served(GROUP, VERSION)
            except (ApiError, Unreachable) as error:
                why = str(error)
            else:
                if {SCHEDULED_JOBS.plural, JOB_RUNS.plural, CALENDARS.plural} <= served.keys():
                    log.info("carillon", version=__version__, kubernetes=version.get("gitVersion"))
                    return
                why = f"the CustomResourceDefinitions of {GROUP}/{VERSION} are not installed"
            if why != told:
                log.warning("waiting for the API server", why=why)
                told = why
            await asyncio.sleep(DISCOVERY_PAUSE_SECONDS)

    async def _watch_definitions(self) -> None:
        # After the first comparison, which takes in the same in a tenth of the time; what changes in between, kopf's
        # own list tells.
        await self._comparison.listed.wait()
        while not self._stop.is_set():
            try:
                renewed = await watch_definitions(
                    namespaces=self._settings.watch_namespaces,
                    identity=self._settings.identity,
                    configuration=lambda: self._client.configuration,
                    on_object=self._store.put_definition,
                    on_gone=self._store.drop,
                    on_listed=self._comparison.soon,
                    on_ready=lambda: self._catch_signals(asyncio.get_running_loop()),
                )
            except Exception:
                # Whatever kopf stumbles over (the CRD deleted and made anew): begin again when the kinds are there.
                log.exception("the watch of ScheduledJobs broke off")
                self._comparison.listed.clear()
                await asyncio.sleep(DISCOVERY_PAUSE_SECONDS)
                await self._wait_for_api()
                self._comparison.soon()
            else:
                if not renewed:
                    self._stop.set()  # kopf took a signal for itself before it was ready

    async def _elect(self) -> None:
        """Compete for the lease once everything there is was seen."""
        await self._comparison.listed.wait()
        for follower in self._followers:
            await follower.synced.wait()
        collector.keep()
        await self._leadership.run()

    async def _lead(self) -> None:
        # The watermark that the last leader wrote must be known before the first decision about a definition.
        self._begun_at = time.monotonic()
        self._comparison.distrust()
        self._executor.begin()
        try:
            await self._comparison.find_pods()
            self._metrics.leading.set(1)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._worker.run(until_sure=self._comparison.restore_trust))
                await self._comparison.trusted.wait()
                self._begun_at = None
                group.create_task(self._events.run())
                if self._archivist is not None:
                    group.create_task(self._archivist.run())
                if self._settings.system_jobs_file is not None:
                    group.create_task(self._apply_system_jobs(self._settings.system_jobs_file))
        finally:
            if self._not_alive() is not None:
                self._unfit_until = time.monotonic() + UNFIT_SECONDS
            self._begun_at = None
            self._metrics.leading.set(0)

    async def _apply_system_jobs(self, path: Path) -> None:
        settings = self._settings
        while True:
            try:
                manifests = system_jobs.load(path)
                await system_jobs.apply(
                    self._client, manifests, namespace=settings.lease_namespace, owner=settings.system_jobs_owner
                )
            except (ApiError, Unreachable, OSError, ValueError) as error:
                log.warning("system jobs not applied yet", why=str(error))
                await asyncio.sleep(DISCOVERY_PAUSE_SECONDS)
            except WritesRefused:
                return
            else:
                # Again now and then: the file may have changed, and somebody may have deleted one.
                await asyncio.sleep(settings.relist_seconds)

    def _changed(self, key: WorkKey) -> None:
        if isinstance(key, Key):
            self._events.consider(key)
        self._worker.changed(key)

    def _observe_refused_pods(self, raw: Object) -> None:
        involved = raw.get("involvedObject") or {}
        self._store.refuse_pods(
            raw["metadata"]["namespace"], involved.get("uid", ""), raw.get("message", ""), last_seen(raw)
        )

    def _report_unreadable(self, raw: Object, why: str) -> None:
        metadata = raw["metadata"]
        key = str(Key(metadata["namespace"], metadata["name"]))
        log.warning("not understood", kind=raw.get("kind"), key=key, why=why)

    def _report_lost(self, run: Run) -> None:
        """Say that a record is gone for good: it had to make room before the archive had it."""
        self._metrics.archive_lost.inc()
        key = Key(run.namespace, run.spec.scheduled_job)
        log.error("gone without the archive", key=str(key), run=run.name, phase=run.phase.value)
        definition = self._store.snapshot(key).definition
        if definition is not None:
            self._recorder.emit(
                regarding=Reference(API_VERSION, "ScheduledJob", key.namespace, key.name, definition.uid),
                type="Warning",
                reason="NotArchived",
                message="finished runs are dropped that the archive never got: it is away, and too much waits for it",
            )

    def _not_alive(self) -> str | None:
        """Why this process is of no use as the leader; None when it is."""
        began, now = self._begun_at, time.monotonic()
        if now < self._unfit_until or (began is not None and now - began > LONGEST_BEGINNING_SECONDS):
            return f"it could not learn in {LONGEST_BEGINNING_SECONDS:.0f} s what there is, when it led"
        return None if self._worker.alive else "the worker does not work"

    def _ready(self) -> str | None:
        if not self._comparison.listed.is_set():
            return "ScheduledJobs are not listed yet"
        if not all(follower.synced.is_set() for follower in self._followers):
            return "JobRuns and Jobs are not listed yet"
        silent = time.monotonic() - min(follower.last_contact for follower in self._followers)
        return f"the API server has been silent for {silent:.0f} s" if silent > CONTACT_LOST_SECONDS else None

    def _refresh(self) -> None:
        self._metrics.queue_depth.set(self._worker.waiting)
        for resource, count in self._store.sizes().items():
            self._metrics.objects.labels(resource).set(count)


def _backlog(settings: Settings, on_lost: Callable[[Run], None]) -> Backlog | None:
    if settings.archive_url_file is None and settings.archive_sqlite_file is None:
        return None
    bound = Bound(settings.archive_waiting_runs, timedelta(hours=settings.archive_waiting_hours))
    return Backlog(bound, clock=utc_now, on_lost=on_lost)


def _open_archive(settings: Settings) -> Database:
    """Prepare the archive; nothing is asked of the database yet.

    Raises:
        CannotStart: there are two of them, the URL is wrong, or SQLAlchemy is not installed.
    """
    file, lite = settings.archive_url_file, settings.archive_sqlite_file
    if file is not None and lite is not None:
        raise CannotStart("archive_url_file and archive_sqlite_file: there is one archive; leave one of them out")
    try:
        from carillon.archive.database import Archive  # here: not everybody has SQLAlchemy
    except ImportError as error:
        raise CannotStart(f"the archive needs {error.name}: pip install 'carillon[archive]'") from None
    archive = Archive(lambda: url_in(file) if file is not None else url_of_file(lite or Path()))
    try:
        archive.check()
    except NotUsable as error:
        raise CannotStart(f"archive_url_file: {error}") from None
    return archive


async def serve(settings: Settings) -> None:
    """Run the operator until it is asked to stop."""
    collector.ease()
    metrics = Metrics()
    client = await Client.connect(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        observer=metrics.request,
        max_in_flight=settings.max_in_flight,
    )
    try:
        await Operator(settings, client, metrics).run()
    finally:
        await client.close()
