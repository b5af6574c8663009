from fastapi import APIRouter

from streamswarm_controlplane.deps import SessionDep
from streamswarm_controlplane.etags import ReadingDep
from streamswarm_controlplane.expectations import service
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.tokens.guard import StaticReaderDep
from streamswarm_core.expectations import Expectations

router = APIRouter(prefix="/expectations", tags=["tests"], route_class=ApiRoute)


@router.get("", summary="Thresholds, maintenance windows and sites' time zones (for the ML service)")
def get_expectations(db: SessionDep, reading: ReadingDep, _token: StaticReaderDep) -> Expectations:
    """Needs a static token with the scope `read`. 304 while nothing has changed."""
    return reading.show(service.expectations(db))
