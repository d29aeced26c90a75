{{/*
Values as TOML. Helm's own toToml writes every number of values.yaml as a float (`replicas = 3.0`,
`bytes = 1e+06`), which a typed reader refuses; here a whole number stays one.
*/}}

{{/* A table: its plain keys first, since whatever follows a [header] belongs to that header. */}}
{{- define "axp.toml" -}}
{{- $path := .path | default "" -}}
{{- range $key, $value := .value }}
{{- if not (or (kindIs "map" $value) (eq (include "axp.toml.isTables" $value) "true")) }}
{{ include "axp.toml.key" $key }} = {{ include "axp.toml.value" (dict "value" $value "at" (printf "%s%s" $path $key)) }}
{{- end }}
{{- end }}
{{- range $key, $value := .value }}
{{- $name := printf "%s%s" $path (include "axp.toml.key" $key) }}
{{- if kindIs "map" $value }}

[{{ $name }}]
{{- include "axp.toml" (dict "value" $value "path" (printf "%s." $name)) }}
{{- else if eq (include "axp.toml.isTables" $value) "true" }}
{{- range $value }}

[[{{ $name }}]]
{{- include "axp.toml" (dict "value" . "path" (printf "%s." $name)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "axp.toml.isTables" -}}
{{- if and (kindIs "slice" .) (not (empty .)) -}}
{{- kindIs "map" (first .) -}}
{{- else -}}
false
{{- end -}}
{{- end }}

{{- define "axp.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end }}

{{- define "axp.toml.value" -}}
{{- $value := .value -}}
{{- $at := .at -}}
{{- if kindIs "string" $value -}}
{{ toJson $value }}
{{- else if kindIs "bool" $value -}}
{{ $value }}
{{- else if or (kindIs "int" $value) (kindIs "int64" $value) -}}
{{ $value }}
{{- else if kindIs "float64" $value -}}
{{- if eq (float64 (int64 $value)) $value -}}{{ int64 $value }}{{- else -}}{{ $value }}{{- end -}}
{{- else if kindIs "slice" $value -}}
[{{ range $index, $item := $value }}{{ if $index }}, {{ end }}{{ include "axp.toml.value" (dict "value" $item "at" $at) }}{{ end }}]
{{- else -}}
{{- fail (printf "config: %s has no value that TOML can hold (%s); leave the key out instead" $at (kindOf $value)) -}}
{{- end -}}
{{- end }}
