"""Makes the Grafana dashboards and the page of the metrics: `python -m tests.observability`."""
