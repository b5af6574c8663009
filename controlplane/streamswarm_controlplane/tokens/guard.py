from typing import Annotated

from fastapi import Depends, Request

from streamswarm_controlplane.deps import SessionDep, bearer_token
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.tokens.models import StaticToken
from streamswarm_controlplane.tokens.service import living_token
from streamswarm_core.tokens import Scope


def static_reader(request: Request, db: SessionDep) -> StaticToken:
    """The static token of a service that may read.

    Raises:
        ApiError: 401 without one, 403 if it may do other things only.
    """
    token = living_token(db, bearer_token(request))
    if token is None:
        raise ApiError(401, "a static token with the scope read is needed", headers={"WWW-Authenticate": "Bearer"})
    if Scope.READ not in token.scopes:
        raise ApiError(403, f"this needs a token with the scope read; this one has {', '.join(token.scopes)}")
    return token


StaticReaderDep = Annotated[StaticToken, Depends(static_reader)]
