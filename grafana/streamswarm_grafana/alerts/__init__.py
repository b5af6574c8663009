"""Alert rules, said once: for Grafana's alerting and as Prometheus rule files."""
