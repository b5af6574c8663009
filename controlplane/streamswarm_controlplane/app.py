"""The control plane: users, agents, tests and what they measured, by API and console."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from streamswarm_controlplane import development, openapi, problems
from streamswarm_controlplane.agents import routes as agents
from streamswarm_controlplane.assignments import routes as assignments
from streamswarm_controlplane.audit import routes as audit
from streamswarm_controlplane.auth import oidc_routes as oidc
from streamswarm_controlplane.auth import routes as auth
from streamswarm_controlplane.auth.oidc import Provider
from streamswarm_controlplane.console import views as console
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.discovery import routes as discovery
from streamswarm_controlplane.enrolment import credential_routes as credentials
from streamswarm_controlplane.enrolment import routes as enrolment
from streamswarm_controlplane.expectations import routes as expectations
from streamswarm_controlplane.heads import HeadAsGet
from streamswarm_controlplane.installer import routes as installer
from streamswarm_controlplane.jobs.periodic import running
from streamswarm_controlplane.maintenance import routes as maintenance
from streamswarm_controlplane.metrics import Metrics, Timed
from streamswarm_controlplane.notifications import routes as notifications
from streamswarm_controlplane.notifications.start import make_notifications
from streamswarm_controlplane.queries import refuse_unknown
from streamswarm_controlplane.results import routes as results
from streamswarm_controlplane.runs import routes as runs
from streamswarm_controlplane.schema import migrate
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.sites import routes as sites
from streamswarm_controlplane.sysconfig import routes as sysconfig
from streamswarm_controlplane.sysconfig.service import effective
from streamswarm_controlplane.testplans import action_routes as testactions
from streamswarm_controlplane.testplans import routes as testplans
from streamswarm_controlplane.tokens import personal_routes as personal_tokens
from streamswarm_controlplane.tokens import routes as tokens
from streamswarm_controlplane.users import routes as users
from streamswarm_core import __version__
from streamswarm_core.clock import now
from streamswarm_core.exposition import barred, expose
from streamswarm_core.reader import open_reader
from streamswarm_core.tokens import RememberingVerifier, Scope, SigningKey, TokenVerifier

log = logging.getLogger(__name__)

API_PREFIX: Final = "/api/v1"
_ROUTERS: Final = (
    agents.agent_router,  # looked through in this order: what is asked most comes first
    auth.router,
    oidc.router,
    users.router,
    agents.router,
    enrolment.router,
    credentials.router,
    sites.router,
    testplans.router,
    testactions.router,
    runs.router,
    runs.agent_router,
    maintenance.router,
    assignments.router,
    results.router,
    notifications.router,
    tokens.router,
    personal_tokens.router,
    audit.router,
    sysconfig.router,
    discovery.router,
    expectations.router,
)


def create_app(settings: ControlPlaneSettings) -> FastAPI:
    """Put the control plane together; its schema is brought up to date when the app starts.

    Raises:
        ConfigError: the signing key can't be read, or development mode is to be on where others can reach it.
    """
    development.check_settings(settings)
    settings.folder.mkdir(parents=True, exist_ok=True)
    key = SigningKey.load_or_create(settings.folder / "signing-key.pem")
    database = Database(settings.database)
    reader = open_reader(settings, TokenSource(key), timeout=5.0)
    provider = Provider.of(settings)
    telling = make_notifications(settings, database, reader)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        migrate(database.engine)
        with development.opened(database, settings):
            async with running(telling.jobs):
                yield
        reader.close()
        if provider:
            provider.close()
        database.close()

    app = _create_api(lifespan)
    if settings.development_minutes:
        development.mark_answers(app, database)
    app.state.settings = settings
    app.state.signing_key = key
    app.state.agent_tokens = RememberingVerifier(TokenVerifier(key.jwks()))
    app.state.database = database
    app.state.reader = reader
    app.state.oidc = provider
    app.state.secret_box = telling.box
    app.include_router(installer.router)
    _add_operations(app, database, settings)
    console.mount(app)
    return app


def describe() -> dict[str, Any]:
    """The API's description (OpenAPI), without settings or a database."""
    return _create_api(None).openapi()


def _create_api(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None) -> FastAPI:
    app = FastAPI(
        title="StreamSwarm control plane",
        version=__version__,
        summary="Users, agents, tests, schedules and results of a StreamSwarm installation.",
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # to what the scheme seems to be, which is http:// behind a proxy that isn't trusted
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    problems.install(app, API_PREFIX, _ROUTERS)
    for router in _ROUTERS:
        # What an OpenID provider adds to its answer is its own business.
        known = [] if router is oidc.router else [Depends(refuse_unknown)]
        app.include_router(router, prefix=API_PREFIX, dependencies=known)
    openapi.install(app, API_PREFIX, _ROUTERS)
    return app


class TokenSource:
    """Signs short-lived read tokens for the control plane itself, a new one when half the life is over."""

    _LIFETIME: Final = 600.0

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        """The current token."""
        at = now().timestamp()
        if at >= self._renew_at:
            self._token = self._key.issue(
                subject="controlplane", name="controlplane", scopes=[Scope.READ], lifetime=self._LIFETIME, now=at
            )
            self._renew_at = at + self._LIFETIME / 2
        return self._token


def _add_operations(app: FastAPI, database: Database, settings: ControlPlaneSettings) -> None:
    """Add `/health` and `/metrics`."""
    who: Final = {"name": "streamswarm-controlplane", "version": __version__}
    own = Metrics()
    own.watch(database.engine)
    app.add_middleware(Timed, metrics=own, prefix=API_PREFIX)
    app.add_middleware(HeadAsGet)

    @app.get("/health", include_in_schema=False)
    def health() -> Response:
        try:
            with database.session() as session:
                session.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            # Whoever reaches the port may read this; where the database is, and its user, is for the log.
            log.warning("health: %s", error)
            return JSONResponse(
                {**who, "status": "fail", "detail": "the database can't be used; the log says why"}, 503
            )
        return JSONResponse({**who, "status": "ok"})

    @app.get("/metrics", include_in_schema=False)
    def metrics(request: Request) -> Response:
        if refusal := barred(request, settings.metrics_token):
            return refusal
        with database.session(reading=True) as session:
            own.read(session, effective(session, settings))
        return expose(own.of_all_workers, request)
