# The gateway alone: one static binary, its config, the authorities of TLS, and a user without rights.
#
#   docker build --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --build-arg REVISION="$(git rev-parse HEAD)" -t portcullis .
#   docker run --read-only -p 8080:8080 -v "$PWD/gateway.yaml:/etc/portcullis/gateway.yaml:ro" -v portcullis:/var/lib/portcullis portcullis
#
# docs/deploy.md says more. The test `container` walks these steps on machines without an engine.

# Pin both by digest where builds must not change by themselves.
ARG RUST=docker.io/library/rust:1.95-bookworm
# What lies below: nothing, or for a shell and tools to look around with, gcr.io/distroless/static-debian12:debug.
ARG BASE=scratch

FROM ${RUST} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates cmake curl g++ gcc git make patch pkg-config xz-utils \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# There is no git history in here to take it from.
ARG SOURCE_DATE_EPOCH=0
# Dependencies are fetched and compiled once for all builds of one machine; a change of the gateway compiles only itself.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    scripts/release --static && install -D target/dist/static/portcullis /out/portcullis
RUN deploy/container/tree /out/portcullis /image

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Portcullis" \
    org.opencontainers.image.description="A programmable edge gateway" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
COPY --from=build --chown=10001:10001 /image/var/lib/portcullis /var/lib/portcullis
# Where the health check, and the commands of `docker exec`, find the gateway and its admin API.
ENV PATH=/usr/local/bin PORTCULLIS_ADMIN=127.0.0.1:9901
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/portcullis", "ready"]
# Exec form: the process is number 1 and gets SIGTERM itself, on which it drains.
ENTRYPOINT ["/usr/local/bin/portcullis"]
CMD ["run", "-c", "/etc/portcullis/gateway.yaml"]
