"""The operator's settings: flags, environment (CARILLON_…), a YAML file, defaults; refused at start when wrong."""

import os
import re
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from carillon.controller.workqueue import DEFAULT_WORKERS

CONFIG_FILE_VARIABLE = "CARILLON_CONFIG_FILE"
_SOURCE = re.compile(r"([a-z0-9][-a-z0-9.]*/)?v[0-9]+((alpha|beta)[0-9]+)?/[a-z0-9][-a-z0-9]*")
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class EventSource(NamedTuple):
    """A kind of objects that event triggers may watch."""

    group: str
    version: str
    resource: str

    def __str__(self) -> str:
        return "/".join(filter(None, self))


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    CONSOLE = "console"


def own_namespace() -> str:
    """The namespace of the pod that we run in, else `default`."""
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


def split_names(text: str) -> tuple[str, ...]:
    """Read a list of names: separated by commas, or as JSON."""
    if text.strip().startswith("["):
        return tuple(orjson.loads(text))
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_source(text: str) -> EventSource:
    """Read `apps/v1/deployments`, or `v1/configmaps` of the core group.

    Raises:
        ValueError: it is not of that form.
    """
    if not _SOURCE.fullmatch(text):
        raise ValueError(f"found {text!r}; write GROUP/VERSION/RESOURCE, or VERSION/RESOURCE for the core group")
    *group, version, resource = text.split("/")
    return EventSource(group[0] if group else "", version, resource)


class Settings(BaseSettings):
    """Run the Carillon operator.

    Each setting is a flag, or an environment variable with the prefix CARILLON_ (CARILLON_LOG_FORMAT), or a key of the
    YAML file that CARILLON_CONFIG_FILE names; the first of these wins.
    """

    model_config = SettingsConfigDict(
        env_prefix="CARILLON_", extra="forbid", cli_kebab_case=True, cli_prog_name="carillon operator", frozen=True
    )

    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Namespaces to serve, separated by commas; empty: the whole cluster."
    )
    event_sources: Annotated[tuple[EventSource, ...], NoDecode] = Field(
        default=(),
        description="What event triggers may watch, separated by commas: apps/v1/deployments, v1/configmaps. Default: "
        "nothing.",
    )
    kubeconfig: str | None = Field(
        default=None, description="Path of a kubeconfig; default: $KUBECONFIG, or the pod's own."
    )
    context: str | None = Field(default=None, description="Context of the kubeconfig.")
    identity: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        min_length=1,
        description="Name of this process in the Lease.",
    )
    lease_namespace: str = Field(default_factory=own_namespace, min_length=1, description="Namespace of the Lease.")
    lease_name: str = Field(default="carillon", min_length=1, description="Name of the Lease: one leader for each.")
    lease_duration_seconds: int = Field(
        default=4, ge=2, le=300, description="A standby takes over when the Lease was not renewed for so many seconds."
    )
    workers: int = Field(
        default=DEFAULT_WORKERS,
        ge=1,
        le=1000,
        description="Definitions worked on at the same time; one namespace gets two thirds of them at most.",
    )
    max_in_flight: int = Field(default=128, ge=1, le=2000, description="Requests to the API server at the same time.")
    relist_seconds: int = Field(
        default=300, ge=10, description="How often the ScheduledJobs are compared with a list of their metadata."
    )
    probe_address: str = Field(default="0.0.0.0", description="Address of /livez, /readyz and /metrics.")
    probe_port: int = Field(default=8080, ge=0, le=65535, description="Port of the probes; 0 turns them off.")
    progress_address: str = Field(default="0.0.0.0", description="Address on which tasks report how far they are.")
    progress_port: int = Field(default=0, ge=0, le=65535, description="Port of it; 0: nobody listens.")
    progress_url: str = Field(
        default="",
        max_length=1024,
        description="Where tasks reach it, for example http://carillon-progress.carillon.svc:8090/progress: "
        "$CARILLON_PROGRESS_URL in their containers. Empty: they get neither address nor token.",
    )
    log_format: LogFormat = Field(default=LogFormat.CONSOLE, description="json or console.")
    log_level: str = Field(
        default="info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error."
    )
    last_words: bool = Field(
        default=True, description="Copy the end of a failed container's log into the run's message."
    )
    system_jobs_file: Path | None = Field(
        default=None,
        description="YAML list of ScheduledJobs that the leader applies at start: the chart's system jobs.",
    )
    system_jobs_owner: str | None = Field(
        default=None, description="Name of the ConfigMap that owns these, so that they go when it goes."
    )
    archive_url_file: Path | None = Field(
        default=None,
        description="File with the URL of the archive of finished runs, postgresql://…: a mounted Secret.",
    )
    archive_sqlite_file: Path | None = Field(
        default=None, description="SQLite file to archive in instead; only where there is one replica."
    )
    archive_keep_days: int = Field(
        default=0, ge=0, le=36_500, description="How long the archive keeps a run; 0: for ever."
    )
    archive_waiting_runs: int = Field(
        default=5_000,
        ge=100,
        le=100_000,
        description="While the archive is away, so many finished runs of a namespace wait for it; then the oldest go.",
    )
    archive_waiting_hours: int = Field(
        default=72, ge=1, le=8_760, description="While the archive is away, a finished run waits for it so long."
    )

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return split_names(value) if isinstance(value, str) else value

    @field_validator("progress_url")
    @classmethod
    def _reachable(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or bool(parts.query)
        except ValueError:
            wrong = True
        if value and (wrong or not value.isprintable() or " " in value):
            raise ValueError(
                f"found {value!r}; write an address such as http://carillon-progress.carillon.svc:8090/progress"
            )
        return value

    @field_validator("event_sources", mode="before")
    @classmethod
    def _read_sources(cls, value: Any) -> Any:
        named = split_names(value) if isinstance(value, str) else value
        return tuple(read_source(each) if isinstance(each, str) else each for each in named)

    @field_validator("system_jobs_file", "archive_url_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and arguments first, then the environment, then the file."""
        path = os.environ.get(CONFIG_FILE_VARIABLE)
        file = (YamlConfigSettingsSource(settings_cls, yaml_file=path),) if path else ()
        return (init_settings, env_settings, *file)


def load(arguments: list[str]) -> Settings:
    """Read the settings; `--help` prints them and ends the process.

    Args:
        arguments: the flags of the command line.

    Raises:
        ValidationError: a setting is wrong, or unknown.
    """
    return Settings(_cli_parse_args=arguments)
