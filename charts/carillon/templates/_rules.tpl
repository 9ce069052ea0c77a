{{/* What the operator may do in the namespaces that it works in. */}}
{{- define "carillon.operatorRules" -}}
- apiGroups: [carillon.dev]
  resources: [scheduledjobs, calendars]
  verbs: [get, list, watch]
- apiGroups: [carillon.dev]
  resources: [jobruns]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [carillon.dev]
  resources: [scheduledjobs/status, jobruns/status, calendars/status]
  verbs: [update]
{{- if .Values.progress.enabled }}
- apiGroups: [carillon.dev]
  resources: [jobruns/status]
  verbs: [patch]
{{- end }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Of definitions with backend: CronJob; their Jobs are patched to belong to their JobRuns.
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [batch]
  resources: [cronjobs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- if .Values.lastWords }}
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch, create, patch]
{{- range .Values.eventSources }}
# For event triggers.
- apiGroups: [{{ .group | default "" | quote }}]
  resources: [{{ .resource }}]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{/* What the tasks verify and report may do there: look. */}}
{{- define "carillon.taskRules" -}}
- apiGroups: [carillon.dev]
  resources: [scheduledjobs, jobruns, calendars]
  verbs: [list]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list]
{{- end -}}

{{/* A ClusterRole and its binding, or, with watchNamespaces, a Role and its binding in each of the namespaces. */}}
{{- define "carillon.grant" -}}
{{- $root := .root -}}
{{- $namespaces := include "carillon.namespaces" $root | fromJsonArray -}}
{{- $prefix := ternary "" "Cluster" (gt (len $namespaces) 0) -}}
{{- range $namespace := $namespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}Role
metadata:
  name: {{ $.name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "carillon.labels" $root | nindent 4 }}
rules:
  {{- $.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}RoleBinding
metadata:
  name: {{ $.name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "carillon.labels" $root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $prefix }}Role
  name: {{ $.name }}
subjects:
  - kind: ServiceAccount
    name: {{ $.serviceAccount }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end -}}
