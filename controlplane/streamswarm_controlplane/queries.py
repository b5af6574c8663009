"""The part of a URL behind the `?`: what a route doesn't know is refused, as it is in bodies.

A filter that is ignored answers with everything, and a script that misspelled it deletes everything. NUL is no part of
anything that could be found, and neither PostgreSQL nor a store's language has a way to ask for it.
"""

from fastapi import Request

from streamswarm_controlplane.problems import ApiError, query_parameters


async def refuse_unknown(request: Request) -> None:
    """For every route of the API.

    Raises:
        ApiError: 422 for a name that the route doesn't take, and for a value with the character NUL.
    """
    if not request.query_params:
        return
    taken = dict(query_parameters(request.scope["route"].dependant))
    for name, value in request.query_params.multi_items():
        field = f"query.{name}"
        if name not in taken:
            takes = f"it takes {', '.join(taken)}" if taken else "there is nothing to choose"
            raise ApiError(422, f"{field}: isn't known here; {takes}", field=field)
        if "\0" in value:
            raise ApiError(422, f"{field}: takes text without the character NUL", field=field)
