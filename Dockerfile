FROM node:22-bookworm-slim AS web
WORKDIR /src
COPY web/package.json web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY web .
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=web /src/dist web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build \
    CARGO_TARGET_DIR=/build cargo build --release --locked --package wello \
    && cp /build/release/wello /usr/local/bin/wello

FROM debian:bookworm-slim
# Authorities that ACME directories are checked against.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin wello \
    && install --directory --owner wello --mode 750 /data
COPY --from=build /usr/local/bin/wello /usr/local/bin/wello
COPY config.toml /etc/wello/config.toml
# Commands find the configuration here: docker exec CONTAINER wello user add alice@example.org
WORKDIR /etc/wello
ENV WELLO_DATA_DIR=/data
VOLUME /data
USER 10001
EXPOSE 5222 5223 5269 5270 5443 7777 3478/tcp 3478/udp 5349
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["wello", "health"]
ENTRYPOINT ["wello"]
CMD ["serve"]
