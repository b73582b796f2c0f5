"""The runs of Symphony in Prometheus and OpenTelemetry: an extension that watches them and harms none."""
