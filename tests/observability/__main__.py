"""Write the dashboards and the page of the metrics."""

from tests.observability.files import FILES

for path, make in FILES.items():
    path.write_text(make())
