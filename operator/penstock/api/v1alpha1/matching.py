"""Which requests a rule is about: header, cookie, method, path."""

from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.fields import ApiModel, cel, rule

HeaderName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9_]*[a-z0-9])?$", max_length=128)]
CookieName = Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.~]+$", max_length=128)]
Text = Annotated[str, Field(min_length=1, max_length=256)]


class StringMatch(ApiModel):
    """What a text must be: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.exact), has(self.prefix), has(self.regex)].filter(x, x).size() == 1",
                "a match takes exactly one of exact, prefix, regex",
            ),
        )
    )

    exact: Text | None = Field(default=None, description="The whole text.")
    prefix: Text | None = Field(default=None, description="What the text begins with.")
    regex: Text | None = Field(
        default=None,
        description="RE2 expression that the whole text must fit.",
        json_schema_extra=cel(rule("''.matches(self) in [true, false]", "must be an expression")),
    )


class HttpMatch(ApiModel):
    """Requests that fit all that is said here."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.headers) || has(self.cookies) || has(self.method) || has(self.path)",
                "a match needs at least one of headers, cookies, method, path",
            )
        )
    )

    headers: Annotated[dict[HeaderName, StringMatch], Field(min_length=1, max_length=8)] | None = (
        Field(default=None, description="Headers by name, in lower case; all must fit.")
    )
    cookies: Annotated[dict[CookieName, StringMatch], Field(min_length=1, max_length=8)] | None = (
        Field(default=None, description="Cookies by name; all must fit.")
    )
    method: StringMatch | None = Field(default=None, description="Method, such as GET.")
    path: StringMatch | None = Field(default=None, description="Path, without the query.")


Matches = Annotated[tuple[HttpMatch, ...], Field(min_length=1, max_length=8)]
