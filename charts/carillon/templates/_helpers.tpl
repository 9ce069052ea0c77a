{{- define "carillon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "carillon.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "carillon.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "carillon.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "carillon.selectorLabels" -}}
app.kubernetes.io/name: {{ include "carillon.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "carillon.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "carillon.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: carillon
{{- end -}}

{{- define "carillon.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "carillon.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "carillon.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "carillon.serviceAccountName" . }}
{{- end -}}

{{- define "carillon.tasksName" -}}
{{ include "carillon.fullname" . }}-tasks
{{- end -}}

{{- define "carillon.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The enabled entries of systemJobs, as JSON. A helper can only return text: read it with fromJson. */}}
{{- define "carillon.systemJobs" -}}
{{- $enabled := dict -}}
{{- range $name, $job := .Values.systemJobs -}}
{{- if and $job (ne (toString $job.enabled) "false") -}}
{{- $_ := set $enabled $name $job -}}
{{- end -}}
{{- end -}}
{{- toJson $enabled -}}
{{- end -}}

{{/* Whether a system job runs one of the operator's own tasks, and so needs their ServiceAccount: "true" or nothing. */}}
{{- define "carillon.hasTasks" -}}
{{- $found := false -}}
{{- range $name, $job := include "carillon.systemJobs" . | fromJson -}}
{{- if $job.task -}}{{- $found = true -}}{{- end -}}
{{- end -}}
{{- if $found -}}true{{- end -}}
{{- end -}}

{{/* The namespaces that the operator works in, as a JSON list; empty: all of them. */}}
{{- define "carillon.namespaces" -}}
{{- $namespaces := .Values.watchNamespaces -}}
{{- if and $namespaces (include "carillon.systemJobs" . | fromJson) -}}
{{- $namespaces = append $namespaces .Release.Namespace -}}
{{- end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end -}}
