"""Label and annotation keys, and the environment a task sees. Identity is UIDs and labels; no name is ever parsed."""

from carillon.api.base import GROUP

SCHEDULED_JOB_LABEL = f"{GROUP}/scheduled-job"
"""On JobRuns, Jobs and pods: the name of the ScheduledJob (at most 52 characters, so it always fits a label)."""
RUN_UID_LABEL = f"{GROUP}/run-uid"
"""On Jobs and pods: the UID of the JobRun; the identity of a Job's run, and what the Job watch selects on."""
TRIGGER_LABEL = f"{GROUP}/trigger"
"""On JobRuns, Jobs and pods: Manual or Periodic."""
CLASS_LABEL = f"{GROUP}/class"
"""On JobRuns, Jobs and pods: System or User."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "carillon"
RUN_ANNOTATION = f"{GROUP}/run"
"""On Jobs and pods: the name of the JobRun (up to 253 characters, too long for a label)."""
SCHEDULED_TIME_ANNOTATION = f"{GROUP}/scheduled-time"
"""On Jobs and pods of a periodic run: the due time, RFC 3339."""
TEMPLATE_GENERATION_ANNOTATION = f"{GROUP}/generation"
"""On Jobs: the generation of the ScheduledJob that the Job was made from."""
RUN_ENVIRONMENT = "CARILLON_RUN"
SCHEDULED_TIME_ENVIRONMENT = "CARILLON_SCHEDULED_TIME"

SCHEDULED_JOB_NAME_LENGTH = 52
"""The same bound as CronJob's: 63 less `-` and ten digits of unix seconds."""
