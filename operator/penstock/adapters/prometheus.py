"""TEMPORARY stand-in of the adapter, to be replaced by the one in the making."""

import asyncio
import requests
from penstock.core.samples import Sample, Unreadable


class Prometheus:
    def __init__(self, connections, timing=None):
        self.connections = connections

    def lag_seconds(self, connection):
        found = self.connections.get(connection)
        return found.lag.total_seconds() if found else None

    async def read(self, queries):
        return await asyncio.gather(*(asyncio.to_thread(self._one, q) for q in queries))

    def _one(self, q):
        c = self.connections[q.connection]
        try:
            r = requests.post(c.url.rstrip("/") + "/api/v1/query", data={"query": q.expression, "time": q.at.timestamp()}, timeout=2)
            d = r.json()
            if d["status"] != "success":
                return Unreadable(str(d))
            return tuple(Sample(x["metric"], float(x["value"][1])) for x in d["data"]["result"])
        except Exception as e:
            return Unreadable(repr(e))
