# The daemon, on Debian's own Python. Nothing that builds or installs is in the last stage.
#   docker build -t strata .
#   docker run --network host -v strata-data:/var/lib/strata strata --etcd http://127.0.0.1:2379
# Until Strata has identities the daemon listens on loopback only, hence the host's network.

FROM debian:bookworm-slim AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# The dependencies alone first: they change less often than the sources do.
COPY requirements.lock requirements-local.lock ./
RUN python3 -m venv /builder \
 && /builder/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-local.lock
RUN python3 -m venv --without-pip /opt/strata \
 && /builder/bin/pip --python /opt/strata/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock

COPY . .
RUN /builder/bin/python -m hatchling build -t wheel -d /dist \
 && /builder/bin/pip --python /opt/strata/bin/python install --no-cache-dir --no-deps --no-index /dist/strata-*.whl \
 && /opt/strata/bin/python -m compileall -q /opt/strata/lib \
 && /opt/strata/bin/strata --help > /dev/null

FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /var/lib/strata --create-home --shell /usr/sbin/nologin strata
COPY --from=build /opt/strata /opt/strata
ENV PATH=/opt/strata/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /var/lib/strata
EXPOSE 7443
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/opt/strata/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7443/livez', timeout=4)"]
ENTRYPOINT ["/opt/strata/bin/strata", "server", "--listen", "127.0.0.1:7443", "--data-dir", "/var/lib/strata", "--log-format", "json"]
