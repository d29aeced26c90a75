{{/*
Names, labels and addresses. Everything two templates must agree on is said here once.
*/}}

{{- define "axp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough that "-gateway" and a pod's ordinal still fit in 63 characters. */}}
{{- define "axp.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "axp.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "axp.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "axp.node.fullname" -}}
{{- include "axp.fullname" . }}-node
{{- end }}

{{- define "axp.node.headless" -}}
{{- include "axp.fullname" . }}-nodes
{{- end }}

{{- define "axp.gateway.fullname" -}}
{{- include "axp.fullname" . }}-gateway
{{- end }}

{{/* Labels of every object. Takes (dict "root" $ "component" "node"). */}}
{{- define "axp.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "axp.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: axp
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What selects pods. Never changes, since selectors are immutable. */}}
{{- define "axp.selector" -}}
app.kubernetes.io/name: {{ include "axp.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "axp.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "axp.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "axp.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* The stable DNS name of one node. Takes (dict "root" $ "id" 1); ids count from 1, as pods do. */}}
{{- define "axp.node.host" -}}
{{ include "axp.node.fullname" .root }}-{{ .id }}.{{ include "axp.node.domain" .root }}
{{- end }}

{{/* What follows the name of a pod in its DNS name. */}}
{{- define "axp.node.domain" -}}
{{ include "axp.node.headless" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{/* Founders that are members no more, as ",2,3,". */}}
{{- define "axp.node.removed" -}}
,{{ range .Values.node.removed }}{{ int . }},{{ end }}
{{- end }}

{{/* The node API of every pod, as `axp cluster status --nodes` takes it. */}}
{{- define "axp.node.apis" -}}
{{- range $index := until (int .Values.node.replicas) -}}
{{- if $index }},{{ end }}{{ include "axp.node.host" (dict "root" $ "id" (add1 $index)) }}:{{ $.Values.node.ports.api }}
{{- end -}}
{{- end }}

{{- define "axp.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .Values.podSecurity.runAsUser }}
runAsGroup: {{ .Values.podSecurity.runAsGroup }}
fsGroup: {{ .Values.podSecurity.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "axp.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Where pods of a component go, unless the values say it themselves. Takes root, component, placement. */}}
{{- define "axp.placement" -}}
{{- $selector := include "axp.selector" . | fromYaml }}
{{- $hard := eq .placement.mode "hard" }}
{{- if .placement.affinity }}
affinity:
  {{- toYaml .placement.affinity | nindent 2 }}
{{- else if ne .placement.mode "none" }}
affinity:
  podAntiAffinity:
    {{- if $hard }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- toYaml $selector | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- toYaml $selector | nindent 14 }}
    {{- end }}
{{- end }}
{{- if .placement.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .placement.topologySpreadConstraints | nindent 2 }}
{{- else if ne .placement.mode "none" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" $hard }}
    labelSelector:
      matchLabels:
        {{- toYaml $selector | nindent 8 }}
{{- end }}
{{- with .placement.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Probes of the admin port: nothing here asks for a quorum or for another node's health. */}}
{{- define "axp.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  failureThreshold: 6
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  failureThreshold: 2
  timeoutSeconds: 3
{{- end }}
