"""Parameters in the address of a request: a filter with a typo in its name would find everything."""

from fastapi import Request
from fastapi.dependencies.models import Dependant

from streamswarm_controlplane.problems import ApiError


def names_of(dependant: Dependant) -> frozenset[str]:
    """The parameters that a route and what it depends on read."""
    own = {one.alias for one in dependant.query_params}
    return frozenset(own.union(*(names_of(one) for one in dependant.dependencies)))


def check_query(request: Request, known: frozenset[str]) -> None:
    """Refuse parameters that aren't known.

    Raises:
        ApiError: 422 with those that are.
    """
    for name in request.query_params:
        if name not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise ApiError(422, f"query.{name}: isn't known here; {takes}", field=f"query.{name}")
