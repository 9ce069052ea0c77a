"""The operator's settings, and the file of system jobs: what is wrong is refused in words."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from carillon.controller import system_jobs
from carillon.controller.settings import EventSource, load


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "namespaces"),
        [("", ()), ("a", ("a",)), ("a, b", ("a", "b")), ('["a", "b"]', ("a", "b")), ("[]", ())],
    )
    def test_namespaces_are_a_list_with_commas_or_json(
        self, text: str, namespaces: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CARILLON_WATCH_NAMESPACES", text)
        assert load([]).watch_namespaces == namespaces

    @pytest.mark.parametrize(
        ("text", "sources"),
        [
            ("", ()),
            ("v1/configmaps", (EventSource("", "v1", "configmaps"),)),
            ("v1/events, apps/v1/deployments", (("", "v1", "events"), ("apps", "v1", "deployments"))),
            ('["example.com/v1beta1/widgets"]', (("example.com", "v1beta1", "widgets"),)),
        ],
    )
    def test_event_sources(self, text: str, sources: tuple[EventSource, ...], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CARILLON_EVENT_SOURCES", text)
        assert load([]).event_sources == sources

    @pytest.mark.parametrize("text", ["configmaps", "a/b/c/d", "v1/pods/log/x", "apps/deployments", "V1/x"])
    def test_an_event_source_that_is_none(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CARILLON_EVENT_SOURCES", text)
        with pytest.raises(ValidationError, match="write GROUP/VERSION/RESOURCE"):
            load([])

    def test_a_flag_wins_over_the_environment_and_that_over_the_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "settings.yaml"
        file.write_text("workers: 3\nlog_level: error\nlog_format: json\n")
        monkeypatch.setenv("CARILLON_CONFIG_FILE", str(file))
        monkeypatch.setenv("CARILLON_WORKERS", "5")
        monkeypatch.setenv("CARILLON_LOG_LEVEL", "warning")
        settings = load(["--workers", "7"])
        assert (settings.workers, settings.log_level, settings.log_format) == (7, "warning", "json")

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            (["--lease-duration-seconds", "0"], "lease_duration_seconds"),
            (["--log-level", "loud"], "log_level"),
            (["--probe-port", "70000"], "probe_port"),
            (["--system-jobs-file", "/no/such/file"], "system_jobs_file"),
            (["--progress-port", "-1"], "progress_port"),
            (["--progress-url", "carillon-progress:8090"], "progress_url"),
            (["--progress-url", "ftp://carillon-progress/"], "progress_url"),
            (["--progress-url", "http://carillon-progress:99999/"], "progress_url"),
            (["--progress-url", "http://a b/"], "progress_url"),
            (["--progress-url", "http://a/?percent=1"], "progress_url"),
        ],
    )
    def test_a_wrong_one_is_refused_by_name(self, arguments: list[str], field: str) -> None:
        with pytest.raises(ValidationError) as refused:
            load(arguments)
        assert [error["loc"] for error in refused.value.errors()] == [(field,)]


class TestSystemJobsFile:
    @pytest.mark.parametrize("text", ["", "[]", "- metadata: {name: a}\n  spec: {}\n"])
    def test_a_list_of_manifests_is_read(self, text: str, tmp_path: Path) -> None:
        file = tmp_path / "jobs.yaml"
        file.write_text(text)
        assert isinstance(system_jobs.load(file), list)

    @pytest.mark.parametrize(
        "text", ["{", "a: b", "- 1", "- {}", "- metadata: null", "- metadata: {}", "- metadata: {name: 1}"]
    )
    def test_anything_else_is_refused_with_the_file_named(self, text: str, tmp_path: Path) -> None:
        file = tmp_path / "jobs.yaml"
        file.write_text(text)
        with pytest.raises(ValueError, match=r"jobs\.yaml"):
            system_jobs.load(file)
