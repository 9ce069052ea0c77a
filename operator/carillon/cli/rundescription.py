"""One JobRun in words: what was asked for, how it goes or went, attempt by attempt, and what it said in the end."""

from datetime import datetime

from rich.text import Text

from carillon.api.keys import RERUN_OF_ANNOTATION
from carillon.cli.runtable import STYLES, last_lines, took
from carillon.cli.screen import Column, Table, fact, screen
from carillon.cli.seen import SeenRun
from carillon.engine.words import clock, distance

LINES = 40


def describe_run(run: SeenRun, now: datetime) -> None:
    """Print it."""
    console = screen()
    head = Text(f"{run.namespace}/{run.name}", "bold")
    console.print(head.append(f"  {run.phase}", STYLES.get(run.phase, "not bold")))
    console.print()
    spec, status = run.spec, run.status
    annotations = run.raw["metadata"].get("annotations") or {}
    progress = status.get("progress") or {}
    percent = progress.get("percent")
    facts = {
        "of": f"ScheduledJob {run.job}",
        "because": f"{run.trigger}{', forced' if spec.get('force') else ''}",
        "asked by": spec.get("requestedBy") or "",
        "again": f"a rerun of {annotations[RERUN_OF_ANNOTATION]}" if RERUN_OF_ANNOTATION in annotations else "",
        "parameters": ", ".join(f"{name}={value}" for name, value in sorted((spec.get("parameters") or {}).items())),
        "due": clock(run.due) if run.due else "",
        "made": f"{clock(run.created)}, {distance(run.created, now)}" if run.created else "",
        "started": clock(run.started) if run.started else "not yet" if not run.finished else "",
        "ended": clock(run.ended) if run.ended else "",
        "took": took(run, now),
        "wanted": "stop" if spec.get("stop") else "pause" if spec.get("suspend") else "",
        "attempts": str(status.get("attempts") or ""),
        "progress": f"{'' if percent is None else f'{percent} % '}{progress.get('message') or ''}".strip(),
        "reason": run.reason,
        "exit code": "" if run.exit_code is None else str(run.exit_code),
    }
    for title, text in facts.items():
        if text:
            fact(title, text)
    if len(run.steps) > 1:
        console.print()
        console.print("Steps", style="bold")
        columns = ("STEP", "PHASE", "JOB", "EXIT", "STARTED", "ENDED")
        table = Table([Column(title, styles=STYLES if title == "PHASE" else {}) for title in columns])
        for step in run.steps:
            code = step.get("exitCode")
            cells = (step.get(field) or "" for field in ("name", "phase", "job"))
            times = (step.get(field) or "" for field in ("startTime", "completionTime"))
            table.add(*cells, "" if code is None else str(code), *times)
        table.draw(console)
    if run.message:
        console.print()
        console.print("Last words" if run.phase == "Failed" else "Message", style="bold")
        for line in last_lines(run.message, LINES):
            console.print(Text(f"  {line}"), soft_wrap=True)
