"""Plain GET requests to gates: no redirects, no body, a time limit."""

from datetime import timedelta

import aiohttp


class Http:
    """Implements `penstock.ports.Http`; honours HTTP_PROXY and NO_PROXY of the environment."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._session: aiohttp.ClientSession | None = None

    async def status(self, url: str, timeout: timedelta) -> int | str:  # noqa: ASYNC109
        """Return the status of a GET, or in a sentence why there is none."""
        session, seconds = self._opened(), timeout.total_seconds()
        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with session.get(url, allow_redirects=False, timeout=limit) as answer:
                return answer.status
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"no answer: {error or type(error).__name__}"

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
