"""Deletes what an agent has measured, as far as the store can."""

from typing import Final

from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.errors import Refused
from streamswarm_core.reader import InfluxQLReader, TokenFile
from streamswarm_core.reader.select import quote_string
from streamswarm_core.tokens import Scope, SigningKey

_SECONDS: Final = 60.0
"""For the statement, and as long lives the token that allows it."""


def drop_series(agent: str, settings: ControlPlaneSettings, key: SigningKey) -> str:
    """Drop every series with this `agent` tag; returns what may be left elsewhere.

    Raises:
        ApiError: 409 if the store is one in which nothing can be deleted.
        Unavailable: the store can't be reached.
        Refused: the store doesn't delete series.
    """
    if settings.store_kind != "influxql":
        raise ApiError(
            409,
            f"the store {settings.store_url} is read as PromQL, by which nothing can be deleted; take series=keep, "
            f"and delete what has the label agent={agent} with the store's own tools (VictoriaMetrics: "
            "/api/v1/admin/tsdb/delete_series)",
            field="query.series",
        )

    def token() -> str:
        if settings.store_token_file is not None:
            return TokenFile(settings.store_token_file)()
        return key.issue(
            subject="controlplane", name="controlplane", scopes=[Scope.READ, Scope.ADMIN], lifetime=_SECONDS
        )

    reader = InfluxQLReader(settings.store_url, database=settings.bucket, token=token, timeout=_SECONDS)
    with reader:
        try:
            reader.execute(f'DROP SERIES WHERE "agent" = {quote_string(agent)}')
        except Refused as error:
            raise Refused(
                f"{error}; take series=keep, and delete what has the tag agent={agent} with the store's own tools",
                status=error.status,
            ) from None
    return (
        f"every series with the tag agent={agent} is deleted from {settings.bucket} at {settings.store_url}; what it "
        "measured under an earlier name, and what a collector has forwarded to other stores, is still there"
    )
