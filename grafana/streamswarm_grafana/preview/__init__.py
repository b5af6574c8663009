"""Pictures of dashboards from what their queries answer: a preview, not a screenshot of Grafana."""
