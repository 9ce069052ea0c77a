"""Every fault, in the order in which `make chaos` lets them happen."""

import signal

from tests.chaos import clock, credentials, network, objects, processes, server
from tests.chaos.run import Fault

FAULTS = (
    Fault("leader killed (kill -9)", processes.leader_killed),
    Fault("leader stopped, wakes after its lease", processes.leader_stopped),
    Fault("leader stopped for less than its lease", processes.leader_paused),
    Fault("standby killed", processes.standby_killed),
    Fault("standby stopped, wakes, takes over", processes.standby_stopped),
    Fault("both killed", processes.all_killed),
    Fault("both stopped past the lease", processes.all_stopped),
    Fault("leader asked to stop (SIGTERM)", processes.graceful_stop),
    Fault("lease deleted", processes.lease_deleted),
    Fault("lease given to nobody", processes.lease_given_away),
    Fault("two leaders at once, by two leases", processes.two_leaders),
    Fault("leader cut off from the API server", network.leader_cut_off),
    Fault("API server slow: 2 s a call", network.weather(delay_seconds=2.0)),
    Fault("429 with Retry-After, every third", network.weather(refused=0.33, refusals=(429,), retry_after_seconds=1)),
    Fault("500 and 503, every third", network.weather(refused=0.33)),
    Fault("answers reset in their middle, every fourth", network.weather(cut=0.25)),
    Fault("answers lost after the commit, every fourth", network.weather(lost=0.25)),
    Fault("watches closed", network.watches_closed),
    Fault("watches silent (half-open)", network.watches_silent, quiet_seconds=150, seconds=20),
    Fault("410 Gone, with deletes in between", network.watches_expired, seconds=10),
    Fault("bookmarks out of order", network.late_bookmarks),
    Fault("API server asked to stop", server.ended(server.API_SERVER, signal.SIGTERM), of_the_server=True),
    Fault("API server killed", server.ended(server.API_SERVER, signal.SIGKILL), of_the_server=True),
    Fault("etcd killed", server.ended("etcd", signal.SIGKILL), of_the_server=True),
    Fault("CRDs missing when operators start", server.discovery_without_our_kinds),
    Fault("CRDs updated", server.definitions_updated),
    Fault("token rotated", credentials.token_rotated),
    Fault("client certificate renewed", credentials.client_certificate_renewed),
    Fault("serving certificate and authority renewed", credentials.authority_renewed),
    Fault("objects deleted at every point", objects.deleted_anywhere, seconds=10),
    Fault("finalizers of others", objects.finalizers_of_others),
    Fault("namespace deleted in the middle", objects.namespace_deleted, seconds=10),
    Fault("quota on Jobs exhausted, then freed", objects.quota("jobs.batch")),
    Fault("quota on runs exhausted, then freed", objects.quota("jobruns.carillon.dev")),
    Fault("definitions edited between due time and Job", objects.edited_in_between, seconds=8),
    Fault("archive away (silent)", objects.archive_away),
    # Last: what is handled ahead of time is handled, and most of the fleet then waits for its time to come.
    Fault("clock an hour back, and right again", clock.stepped(-clock.HOUR)),
    Fault("clock two days back, and right again", clock.stepped(-2 * clock.DAY)),
    Fault("clock an hour ahead, and right again", clock.stepped(clock.HOUR)),
    Fault("clock two days ahead, and right again", clock.stepped(2 * clock.DAY)),
    Fault("thirty days without an operator", clock.thirty_days_away),
)

_SHORT = (
    "leader killed",
    "leader stopped, wakes",
    "leader asked",
    "answers lost",
    "410 Gone",
    "API server killed",
)
SHORT = tuple(fault for fault in FAULTS if fault.name.startswith(_SHORT))
"""Those of the test: a minute or so."""
