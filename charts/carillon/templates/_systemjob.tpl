{{/* One entry of systemJobs as an item of a list of ScheduledJobs. Fields that are not the chart's own are the spec's. */}}
{{- define "carillon.systemJob" -}}
{{- $ := .root -}}
{{- $job := .job -}}
{{- $spec := omit $job "enabled" "cron" "timeZone" "task" "image" "command" "args" "env" "resources" "serviceAccountName" -}}
{{- $_ := set $spec "class" "System" -}}
{{- if $job.cron -}}
{{- $trigger := dict "name" "cron" "cron" $job.cron -}}
{{- with $job.timeZone -}}{{- $_ := set $trigger "timeZone" . -}}{{- end -}}
{{- $_ := set $spec "triggers" (prepend (default list $job.triggers) $trigger) -}}
{{- end -}}
{{- if not $job.jobTemplate -}}
{{- $container := dict "name" "main" "securityContext" $.Values.securityContext -}}
{{- $pod := dict "restartPolicy" "Never" "securityContext" $.Values.podSecurityContext "automountServiceAccountToken" false "enableServiceLinks" false -}}
{{- if $job.task -}}
{{- $environment := list (dict "name" "CARILLON_WATCH_NAMESPACES" "value" (include "carillon.namespaces" $ | fromJsonArray | join ",")) -}}
{{- $_ := set $container "image" (include "carillon.image" $) -}}
{{- $_ := set $container "imagePullPolicy" $.Values.image.pullPolicy -}}
{{- $_ := set $container "args" (list "task" $job.task) -}}
{{- $_ := set $container "env" $environment -}}
{{- $_ := set $container "resources" (dict "requests" (dict "cpu" "50m" "memory" "128Mi") "limits" (dict "memory" "512Mi")) -}}
{{- $_ := set $pod "serviceAccountName" (include "carillon.tasksName" $) -}}
{{- $_ := set $pod "automountServiceAccountToken" true -}}
{{- with $.Values.imagePullSecrets -}}{{- $_ := set $pod "imagePullSecrets" . -}}{{- end -}}
{{- end -}}
{{- range $key := list "image" "command" "args" "resources" -}}
{{- with index $job $key -}}{{- $_ := set $container $key . -}}{{- end -}}
{{- end -}}
{{- with $job.env -}}{{- $_ := set $container "env" (concat (default list $container.env) .) -}}{{- end -}}
{{- with $job.serviceAccountName -}}
{{- $_ := set $pod "serviceAccountName" . -}}
{{- $_ := set $pod "automountServiceAccountToken" true -}}
{{- end -}}
{{- $_ := set $pod "containers" (list $container) -}}
{{- $_ := set $spec "jobTemplate" (dict "spec" (dict "backoffLimit" 0 "template" (dict "spec" $pod))) -}}
{{- end -}}
- apiVersion: carillon.dev/v1alpha1
  kind: ScheduledJob
  metadata:
    name: {{ .name }}
    namespace: {{ $.Release.Namespace }}
    labels:
      {{- include "carillon.selectorLabels" $ | nindent 6 }}
      app.kubernetes.io/component: system-job
      app.kubernetes.io/managed-by: carillon
      app.kubernetes.io/part-of: carillon
  spec:
    {{- toYaml $spec | nindent 4 }}
{{- end -}}
