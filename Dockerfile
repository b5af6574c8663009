# One image for each service, all from here:
#   docker build --build-arg SERVICE=collector --tag streamswarm-collector .
#   docker build --build-arg SERVICE=agent --target agent --tag streamswarm-agent .
# With LOCK=gnmi the agent also gets what its probe of network devices needs:
#   docker build --build-arg SERVICE=agent --build-arg LOCK=gnmi --target agent --tag streamswarm-agent .
ARG PYTHON=python:3.12.8-slim-bookworm

FROM ${PYTHON} AS build
ARG SERVICE
ARG LOCK=${SERVICE}
# Copies, not links: the agent's interpreter gets a capability that no other Python should have.
RUN python -m venv --copies /opt/streamswarm
ENV PATH=/opt/streamswarm/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY requirements-${LOCK}.lock requirements.lock
RUN pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY cli cli
COPY agent agent
COPY collector collector
COPY controlplane controlplane
COPY mlservice mlservice
COPY grafana grafana
# Compiled here, once: a container can't write, so each start and each health check would compile everything again.
RUN pip install --no-deps --no-build-isolation . \
 && pip uninstall --yes hatchling editables pip \
 && python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/streamswarm/lib

FROM ${PYTHON} AS service
ARG SERVICE
LABEL org.opencontainers.image.title="StreamSwarm ${SERVICE}" org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 streamswarm \
 && useradd --uid 10001 --gid streamswarm --no-create-home --shell /usr/sbin/nologin streamswarm \
 && install --directory --owner streamswarm --group streamswarm --mode 0700 /data \
 && python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
COPY --from=build /opt/streamswarm /opt/streamswarm
ENV PATH=/opt/streamswarm/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STREAMSWARM_DATA=/data \
    STREAMSWARM_LOG_FORMAT=json \
    SERVICE=${SERVICE}
USER 10001:10001
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["sh", "-c", "exec streamswarm status \"$SERVICE\""]
ENTRYPOINT ["sh", "-c", "exec streamswarm \"$SERVICE\" run \"$@\"", "streamswarm"]

# The agent opens raw sockets without being root: the capability is its interpreter's own.
FROM service AS agent
USER root
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libcap2-bin iperf3 ethtool smartmontools \
 && setcap cap_net_raw+ep "$(readlink -f /opt/streamswarm/bin/python)" \
 && apt-get purge --yes --auto-remove libcap2-bin \
 && rm -rf /var/lib/apt/lists/*
USER 10001:10001
