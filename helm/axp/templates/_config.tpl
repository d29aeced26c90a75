{{/*
The config files. What the chart knows comes first, `config.node` and `config.gateway` are merged
over it. `{"node": {"id"}}` is not here: it differs from pod to pod and comes by the environment.
*/}}

{{- define "axp.node.config" -}}
{{- $root := . -}}
{{- $ports := .Values.node.ports -}}
{{- $peers := list -}}
{{/* The founders, by the size that the cluster was founded with and never by the number of pods. */}}
{{- range $index := until (int .Values.node.bootstrapSize) -}}
{{- $id := add1 $index -}}
{{- $host := include "axp.node.host" (dict "root" $root "id" $id) -}}
{{- $peers = append $peers (dict
      "id" $id
      "raft-address" (printf "%s:%d" $host (int $ports.raft))
      "api-address" (printf "%s:%d" $host (int $ports.api))) -}}
{{- end -}}
{{- $config := dict
      "node" (dict
        "data-dir" "/var/lib/axp"
        "api-listen" (printf "0.0.0.0:%d" (int $ports.api))
        "raft-listen" (printf "0.0.0.0:%d" (int $ports.raft))
        "admin-listen" (printf "0.0.0.0:%d" (int $ports.admin)))
      "cluster" (dict
        "bootstrap-expect" (int .Values.node.bootstrapSize)
        "renumber-empty-disks" true
        "peers" $peers)
      "telemetry" (dict "log-format" "json") -}}
# Written by the axp chart; change it by the value config.node.
{{- include "axp.toml" (dict "value" (mustMergeOverwrite $config (deepCopy .Values.config.node))) }}
{{- end }}

{{- define "axp.gateway.config" -}}
{{- $root := . -}}
{{- $ports := .Values.gateway.ports -}}
{{- $nodes := list -}}
{{/* Where gateways begin to ask; they hear of all others from these. */}}
{{- range $index := until (int .Values.node.replicas) -}}
{{- $nodes = append $nodes (printf "%s:%d" (include "axp.node.host" (dict "root" $root "id" (add1 $index))) (int $root.Values.node.ports.api)) -}}
{{- end -}}
{{- $config := dict
      "http" (dict "listen" (printf "0.0.0.0:%d" (int $ports.http)))
      "grpc" (dict "listen" (printf "0.0.0.0:%d" (int $ports.grpc)))
      "admin" (dict "listen" (printf "0.0.0.0:%d" (int $ports.admin)))
      "cluster" (dict "nodes" $nodes)
      "telemetry" (dict "log-format" "json") -}}
{{- with .Values.seed -}}
{{- if .existingSecret -}}
{{- $_ := set $config "seed" (dict "organization" .organization "workspace" .workspace) -}}
{{- end -}}
{{- end -}}
# Written by the axp chart; change it by the value config.gateway.
{{- include "axp.toml" (dict "value" (mustMergeOverwrite $config (deepCopy .Values.config.gateway))) }}
{{- end }}
